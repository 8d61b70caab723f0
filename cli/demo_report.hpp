#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/job_messages.hpp"
#include "common/messages.hpp"

/// What `rpicluster demo` decides and tells. Pure.
namespace rpic {

/// What one node did for the picture.
struct DemoShare {
    std::string node;
    std::int64_t tiles = 0;
    double seconds = 0;         // of its tasks, added up
    std::int64_t one_tile = 0;  // the last one that it made: for a look at whether it is right
};

/// Who made the tiles, sorted by name. Tasks that are not done count for nobody.
std::vector<DemoShare> demo_shares(const std::vector<TaskView>& tasks);

/// On which nodes the picture can be made, and who stays out for lack of a program.
struct DemoNodes {
    std::int64_t count = 0;                  // online workers that take part
    std::vector<std::string> architectures;  // theirs
    std::string left_out;                    // "armhf (pi[1-3])", or empty
};
DemoNodes demo_nodes(const std::vector<NodeView>& nodes,
                     const std::map<std::string, std::string>& programs);

/// The nodes with one of these architectures, for --where.
std::string demo_where(const std::vector<std::string>& architectures);

}  // namespace rpic

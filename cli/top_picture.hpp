#pragma once

#include <string>
#include <vector>

#include "common/messages.hpp"

namespace rpic {

/// What `top` shows.
struct TopView {
    Status status;
    std::vector<NodeView> nodes;
    std::vector<JobView> jobs;
};

/// The picture as lines, at most so many and so wide: nodes first, then the jobs that are not at
/// their end, newest last. Pure.
std::vector<std::string> top_picture(const TopView& view, std::size_t width, std::size_t height);

}  // namespace rpic

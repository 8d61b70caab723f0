#pragma once

#include <string>

#include "slave/web/cluster_view.hpp"

namespace rpic {

/// How the cluster is, in one line.
struct PageVerdict {
    std::string tone;  // good | warning | bad | waiting
    std::string text;

    bool operator==(const PageVerdict&) const = default;
};
BOOST_DESCRIBE_STRUCT(PageVerdict, (), (tone, text))

PageVerdict verdict_of(const ClusterView& view);

}  // namespace rpic

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/clock.hpp"
#include "common/machine/file_tree.hpp"

namespace rpic {

/// The network interface by which a machine reaches others: that of its default route, else the
/// first one that is up.
class Network {
  public:
    struct Reading {
        std::string name;                  // empty: none is up
        std::optional<std::int64_t> mbps;  // of the link; null for wireless and virtual ones
        std::optional<std::int64_t> received_bytes;  // since the boot, as the two behind it
        std::optional<std::int64_t> sent_bytes;
        std::optional<std::int64_t> errors;  // in both directions
    };

    Reading read(const FileTree& tree, Instant now);

  private:
    void look(const FileTree& tree);

    std::string name_;
    std::optional<std::int64_t> mbps_;
    std::optional<Instant> looked_;
};

}  // namespace rpic

#pragma once

#include <cstddef>
#include <cstdint>

namespace rpic {

/// `count`, or `most` if that is less. On a 32-bit board a file has more bytes than a std::size_t
/// counts: who casts first takes 4 GiB for nothing.
constexpr std::size_t at_most(std::int64_t count, std::size_t most) {
    return count < static_cast<std::int64_t>(most) ? static_cast<std::size_t>(count) : most;
}

}  // namespace rpic

#pragma once

#include <functional>

#include "common/file_error.hpp"

namespace rpic {

/// Whether somebody still wants what is being moved; without a function somebody does. What takes
/// hours asks between its parts, so that it does not go on for an attempt that was cancelled.
using Wanted = std::function<bool()>;

/// Throws FileError `unwanted` if nobody does.
inline void check_wanted(const Wanted& wanted) {
    if (wanted && !wanted()) throw FileError("unwanted", "nobody wants it any more");
}

}  // namespace rpic

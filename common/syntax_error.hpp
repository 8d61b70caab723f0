#pragma once

#include <stdexcept>

namespace rpic {

/// Something that a person wrote (an expression, a range, a selector, a job file) does not follow
/// its grammar or exceeds a limit. `what()` is one line: what is wrong, and what is expected.
class SyntaxError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace rpic

#pragma once

#include <stdexcept>
#include <string>

namespace rpic {

/// A request that is answered with a problem document (RFC 9457). `what()` is its detail.
class ProblemError : public std::runtime_error {
  public:
    ProblemError(unsigned http_status, const std::string& detail, int retry = 0)
        : std::runtime_error(detail), status(http_status), retry_seconds(retry) {}
    unsigned status;
    int retry_seconds;  // of the field Retry-After; 0: none
};

}  // namespace rpic

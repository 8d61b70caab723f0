#pragma once

#include <string>

#include "common/job_messages.hpp"

namespace rpic {

/// The answer to a ReadOutput, with its raw tail: at most limits::chunk_bytes of records.
struct OutputPiece {
    Output answer;
    std::string bytes;
};

}  // namespace rpic

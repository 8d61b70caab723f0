#pragma once

#include "master/core/jobs.hpp"

namespace rpic {

/// A task of the job that runs, as one who may be faster with the next one.
struct Jobs::Rival {
    const Worker* worker = nullptr;
    double end_seconds = 0;  // from now on, until it would be through with another task
};

}  // namespace rpic

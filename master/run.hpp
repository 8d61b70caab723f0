#pragma once

#include "common/daemon.hpp"
#include "master/context.hpp"

namespace rpic {

/// Runs a master until it is told to stop; the exit code of the program. Throws ConfigError if it
/// cannot start.
int run_master(const MasterOptions& options, Background& background);

}  // namespace rpic

#pragma once

#include "common/daemon.hpp"
#include "slave/options.hpp"

namespace rpic {

/// Runs a slave until it is told to stop; the exit code of the program. Throws ConfigError if it
/// cannot start.
int run_slave(const SlaveOptions& options, Background& background);

}  // namespace rpic

#pragma once

#include <string>
#include <vector>

namespace rpic {

/// Runs a program, which is looked for in the path, to its end; gives its exit code, or -1 if it
/// could not be started, with the reason in errno, or was ended by a signal: errno is 0. Quiet:
/// what it prints on stdout goes nowhere.
int run_program(std::vector<std::string> words, bool quiet = false);

}  // namespace rpic

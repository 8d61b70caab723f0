#pragma once

#include <string>

#include "common/machine/file_tree.hpp"

namespace rpic {

/// What tells this board from every other and stays when the card is written anew:
/// "serial:" and the board's serial number, else "dmi:" and the product UUID of the SMBIOS
/// (readable for root alone), else "mac:" and the lowest permanent Ethernet address. Empty if there
/// is none. Placeholders that vendors left in do not count.
std::string board_fingerprint(const FileTree& tree);

}  // namespace rpic

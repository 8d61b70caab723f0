#pragma once

#include <string>

#include "common/machine/file_tree.hpp"

namespace rpic {

/// What tells this board from every other and stays when the card is written anew:
/// "serial:" and the board's serial number, else "dmi:" and the product UUID of the SMBIOS
/// (readable for root alone), else "mac:" and the lowest permanent Ethernet address. Empty if there
/// is none. Placeholders that vendors left in do not count.
std::string board_fingerprint(const FileTree& tree);

/// The model of the board as its firmware names it, for example "Raspberry Pi 4 Model B Rev 1.4";
/// empty if it does not.
std::string board_model(const FileTree& tree);

/// The same, and of machines without a device tree what the SMBIOS says: maker and product.
std::string machine_model(const FileTree& tree);

/// The serial number on the board or case, as it is written there; empty if there is none, or if
/// root alone may know it.
std::string machine_serial(const FileTree& tree);

}  // namespace rpic

#pragma once

#include <cstdint>
#include <string>

namespace rpic {

/// Who listens on a TCP port of this machine, for the message that it is taken: "process 123
/// (nginx)". Empty if that cannot be known: found through /proc/net/tcp and the descriptors of the
/// processes that we may look into (proc(5)).
std::string port_owner(std::uint16_t port);

}  // namespace rpic

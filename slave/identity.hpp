#pragma once

#include <optional>
#include <string>

#include "common/machine/machine.hpp"
#include "slave/options.hpp"

namespace rpic {

/// What a slave knows between its runs: the node's own key in its state folder, the join key as
/// long as there is none, and where its master was.
class Identity {
  public:
    /// A join key that is configured itself (SlaveOptions::join_key) is taken into the state folder
    /// until the node has a key of its own, so that it may be deleted from where it was.
    explicit Identity(const SlaveOptions& options);

    /// The key for the next connection. The join key is used only while this node has no key of its
    /// own; a refused node key never falls back to it. Throws ConfigError if there is no key at
    /// all.
    std::string key() const;
    bool has_node_key() const { return !node_key_.empty(); }

    /// Keeps the key that the master gave, on disk before it returns.
    void keep_node_key(const std::string& key);

    /// The next key() is the join key.
    void forget_node_key();

    /// The master that was joined last, as the state folder has it.
    std::optional<HostPort> last_master() const { return last_master_; }
    /// Keeps it there if it is another one than before, and not on this machine.
    void keep_master(const HostPort& master);

    /// Same board, same fingerprint (machine.hpp); where the machine has none, as in a container,
    /// one is made and kept in the state folder. Found out once: an adapter that is plugged in or
    /// taken out makes no other machine of this one.
    const std::string& fingerprint(const Machine& machine);

  private:
    std::string join_key() const;
    std::string find_fingerprint(const Machine& machine) const;

    const SlaveOptions& options_;
    std::string node_key_;
    std::string fingerprint_;
    std::optional<HostPort> last_master_;
};

/// Where the master is, if somebody has said so: the given addresses, else the master that shares
/// the state dir. Read anew for each attempt, because a master on this machine may come later or
/// change its port.
std::vector<HostPort> named_masters(const SlaveOptions& options);

}  // namespace rpic

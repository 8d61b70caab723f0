#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <boost/describe/class.hpp>

namespace rpic {

/// One key and what it may do: one row of the store.
struct KeyRecord {
    std::string identity;  // public name of the key (keys.hpp)
    std::string key;
    std::string role;             // join | node | web | viewer | submit | admin
    std::string name;             // of a token; empty for others
    std::string node_id;          // of a node's key; empty for others
    std::int64_t created_at = 0;  // seconds since 1970, for display
    std::int64_t expires_at = 0;  // likewise; 0: never
};
BOOST_DESCRIBE_STRUCT(KeyRecord, (), (identity, key, role, name, node_id, created_at, expires_at))

/// All keys of the cluster, by identity. Pure, like the rest of this folder.
class Keyring {
  public:
    void add(KeyRecord record) { keys_[record.identity] = std::move(record); }
    void drop(std::string_view identity);

    /// The key of that identity, unless it has expired by the wall clock.
    const KeyRecord* find(std::string_view identity, std::int64_t wall_seconds) const;

    /// The join key; there is always exactly one.
    const KeyRecord* join_key() const;
    /// The key of the master's own user, which has no name.
    const KeyRecord* own_admin_key() const;

    /// Tokens made by `token create`, by name.
    std::vector<const KeyRecord*> tokens() const;
    const KeyRecord* token(std::string_view name) const;

  private:
    const KeyRecord* first_unnamed(std::string_view role) const;

    std::map<std::string, KeyRecord, std::less<>> keys_;
};

/// Whether a role may ask for what another may: viewer < submit < admin; all others are apart.
bool role_allows(std::string_view role, std::string_view needed);

}  // namespace rpic

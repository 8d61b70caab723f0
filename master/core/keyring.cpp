#include "master/core/keyring.hpp"

#include <algorithm>

namespace rpic {

namespace {

int rank(std::string_view role) {
    if (role == "viewer") return 1;
    if (role == "submit") return 2;
    if (role == "admin") return 3;
    return 0;
}

}  // namespace

void Keyring::drop(std::string_view identity) {
    if (const auto found = keys_.find(identity); found != keys_.end()) keys_.erase(found);
}

const KeyRecord* Keyring::find(std::string_view identity, std::int64_t wall_seconds) const {
    const auto found = keys_.find(identity);
    if (found == keys_.end()) return nullptr;
    const auto& record = found->second;
    return record.expires_at != 0 && wall_seconds >= record.expires_at ? nullptr : &record;
}

const KeyRecord* Keyring::join_key() const {
    return first_unnamed("join");
}

const KeyRecord* Keyring::own_admin_key() const {
    return first_unnamed("admin");
}

std::vector<const KeyRecord*> Keyring::tokens() const {
    std::vector<const KeyRecord*> tokens;
    for (const auto& [identity, record] : keys_)
        if (!record.name.empty()) tokens.push_back(&record);
    std::sort(tokens.begin(), tokens.end(),
              [](const auto* a, const auto* b) { return a->name < b->name; });
    return tokens;
}

const KeyRecord* Keyring::token(std::string_view name) const {
    for (const auto& [identity, record] : keys_)
        if (!record.name.empty() && record.name == name) return &record;
    return nullptr;
}

const KeyRecord* Keyring::first_unnamed(std::string_view role) const {
    for (const auto& [identity, record] : keys_)
        if (record.role == role && record.name.empty()) return &record;
    return nullptr;
}

bool role_allows(std::string_view role, std::string_view needed) {
    return rank(needed) > 0 && rank(role) >= rank(needed);
}

}  // namespace rpic

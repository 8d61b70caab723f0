#include "slave/runner/keyed_records.hpp"

#include <charconv>

#include "common/limits.hpp"

namespace rpic {

namespace {

/// "+JOB TASK ATTEMPT\n", with '-' for one that is removed.
std::string head_of(char sign, const AttemptKey& key) {
    return sign + std::to_string(key.job) + ' ' + std::to_string(key.task) + ' ' +
           std::to_string(key.attempt) + '\n';
}

bool parse_head(std::string_view head, AttemptKey& key) {
    const char* place = head.data();
    const char* end = place + head.size();
    for (auto* number : {&key.job, &key.task, &key.attempt}) {
        const auto [next, error] = std::from_chars(place, end, *number);
        if (error != std::errc{}) return false;
        place = next == end ? next : next + 1;
    }
    return place == end;
}

}  // namespace

KeyedRecords::KeyedRecords(const std::filesystem::path& path)
    : file_(path, [this](std::string_view entry, std::int64_t offset) { take(entry, offset); }) {
    if (places_.empty()) file_.clear();
}

void KeyedRecords::take(std::string_view entry, std::int64_t offset) {
    const auto head = entry.find('\n');
    AttemptKey key;
    if (head == std::string_view::npos || !parse_head(entry.substr(1, head - 1), key)) return;
    if (const auto known = places_.find(key); known != places_.end()) {
        live_bytes_ -= known->second.size;
        places_.erase(known);
    }
    if (entry.front() != '+') return;
    places_[key] = Place{offset, head + 1, entry.size()};
    live_bytes_ += entry.size();
}

bool KeyedRecords::add(const AttemptKey& key, std::string_view record) {
    std::string entry = head_of('+', key);
    entry += record;
    const auto offset = file_.append(entry);
    if (offset < 0) return false;
    take(entry, offset);
    return true;
}

void KeyedRecords::remove(const AttemptKey& key) {
    const auto known = places_.find(key);
    if (known == places_.end()) return;
    live_bytes_ -= known->second.size;
    places_.erase(known);
    if (places_.empty()) return file_.clear();
    // If the disk is full the record comes back after a restart, and is removed again then.
    file_.append(head_of('-', key));
    shrink();
}

void KeyedRecords::shrink() {
    const auto size = static_cast<std::size_t>(file_.size());
    if (size < limits::spool_bytes || size < 2 * live_bytes_) return;
    std::vector<std::string> entries;
    for (const auto& [key, place] : places_)
        entries.push_back(file_.read(place.offset, place.size));
    const auto offsets = file_.rewrite(entries);
    if (offsets.empty()) return;
    auto next = offsets.begin();
    for (auto& [key, place] : places_) place.offset = *next++;
}

std::set<AttemptKey> KeyedRecords::keys() const {
    std::set<AttemptKey> keys;
    for (const auto& [key, place] : places_) keys.insert(key);
    return keys;
}

std::string KeyedRecords::read(const AttemptKey& key, std::size_t offset, std::size_t size) const {
    const auto known = places_.find(key);
    if (known == places_.end()) return {};
    const auto& place = known->second;
    const auto whole = place.size - place.head;
    if (offset >= whole) return {};
    return file_.read(place.offset + static_cast<std::int64_t>(place.head + offset),
                      std::min(size, whole - offset));
}

std::string KeyedRecords::read(const AttemptKey& key) const {
    return read(key, 0, limits::spool_record_bytes);
}

}  // namespace rpic

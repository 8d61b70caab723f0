#include "slave/runner/keyed_records.hpp"

#include <charconv>

#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr char adds = '+';
constexpr char removes = '-';
constexpr char marks = '*';

/// "+JOB TASK ATTEMPT\n", or with another of these signs.
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
    tidy();
}

KeyedRecords::~KeyedRecords() {
    write_removals();
    tidy();
}

/// An entry is any number of removals and marks, then one record or none.
void KeyedRecords::take(std::string_view entry, std::int64_t offset) {
    std::size_t begin = 0;
    for (;;) {
        const auto end = entry.find('\n', begin);
        AttemptKey key;
        if (end == std::string_view::npos || begin == end ||
            !parse_head(entry.substr(begin + 1, end - begin - 1), key))
            return;
        const auto known = places_.find(key);
        if (known != places_.end() && entry[begin] == marks) {
            known->second.marked = true;
        } else if (known != places_.end()) {
            live_bytes_ -= known->second.size;
            places_.erase(known);
        }
        if (entry[begin] == adds) {
            places_[key] = Place{offset, end + 1, entry.size(), false};
            live_bytes_ += entry.size();
            return;
        }
        begin = end + 1;
    }
}

bool KeyedRecords::add(const AttemptKey& key, std::string_view record) {
    std::string entry = removals_ + head_of(adds, key);
    entry += record;
    const auto offset = file_.append(entry);
    if (offset < 0) return false;
    removals_.clear();
    take(entry, offset);
    return true;
}

bool KeyedRecords::mark(const std::vector<AttemptKey>& keys) {
    std::string entry = removals_;
    for (const auto& key : keys)
        if (contains(key)) entry += head_of(marks, key);
    if (entry.empty()) return true;
    const auto offset = file_.append(entry);
    if (offset < 0) return false;
    removals_.clear();
    take(entry, offset);
    return true;
}

void KeyedRecords::remove(const AttemptKey& key) {
    const auto known = places_.find(key);
    if (known == places_.end()) return;
    live_bytes_ -= known->second.size;
    places_.erase(known);
    removals_ += head_of(removes, key);
}

bool KeyedRecords::write_removals() {
    if (removals_.empty()) return false;
    // If the disk is full the records come back after a restart, and are removed again then.
    file_.append(removals_);
    removals_.clear();
    return shrink();
}

void KeyedRecords::tidy() {
    if (untidy()) file_.clear();
}

bool KeyedRecords::shrink() {
    const auto size = static_cast<std::size_t>(file_.size());
    if (size < limits::spool_bytes || size < 2 * live_bytes_) return false;
    if (places_.empty()) return tidy(), false;
    std::vector<std::string> entries;
    std::string marked;
    for (const auto& [key, place] : places_) {
        const auto begin = place.offset + static_cast<std::int64_t>(place.head);
        const auto record = file_.read(begin, place.size - place.head);
        // The disk may give it again later.
        if (record.size() != place.size - place.head) return false;
        entries.push_back(head_of(adds, key) + record);
        if (place.marked) marked += head_of(marks, key);
    }
    if (!marked.empty()) entries.push_back(marked);
    const auto offsets = file_.rewrite(entries);
    if (offsets.empty()) return false;
    live_bytes_ = 0;
    auto next = offsets.begin();
    auto entry = entries.begin();
    for (auto& [key, place] : places_) {
        place = Place{*next++, head_of(adds, key).size(), entry->size(), place.marked};
        live_bytes_ += (entry++)->size();
    }
    return true;
}

std::set<AttemptKey> KeyedRecords::keys() const {
    std::set<AttemptKey> keys;
    for (const auto& [key, place] : places_) keys.insert(key);
    return keys;
}

bool KeyedRecords::marked(const AttemptKey& key) const {
    const auto known = places_.find(key);
    return known != places_.end() && known->second.marked;
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

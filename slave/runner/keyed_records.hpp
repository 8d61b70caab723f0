#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/job_messages.hpp"
#include "slave/runner/record_file.hpp"

namespace rpic {

/// One record for each of some attempts, in a file that is empty again once none is left, so that
/// in quiet running nothing of it ever reaches the disk.
class KeyedRecords {
  public:
    /// Reads what is there. Throws ConfigError.
    explicit KeyedRecords(const std::filesystem::path& path);

    ~KeyedRecords();
    KeyedRecords(const KeyedRecords&) = delete;
    KeyedRecords& operator=(const KeyedRecords&) = delete;

    /// False if the disk refuses; then errno says why. Takes along what was removed.
    bool add(const AttemptKey& key, std::string_view record);
    /// Notes about records that are there that what they tell of is on the disk; likewise.
    bool mark(const std::vector<AttemptKey>& keys);
    /// The file hears of it with the next add(), or by write_removals().
    void remove(const AttemptKey& key);
    /// True if that made a new file, of which nothing is known to be on the disk.
    bool write_removals();

    /// Cuts the file to nothing if nothing is left. Dearer than to write a little, so not at once.
    void tidy();
    bool untidy() const { return places_.empty() && file_.size() > 0; }

    bool contains(const AttemptKey& key) const { return places_.contains(key); }
    bool marked(const AttemptKey& key) const;
    std::set<AttemptKey> keys() const;
    /// A part of a record; empty if there is none.
    std::string read(const AttemptKey& key, std::size_t offset, std::size_t size) const;
    std::string read(const AttemptKey& key) const;

    bool empty() const { return places_.empty(); }
    /// Of the file, for fdatasync(2).
    int descriptor() const { return file_.descriptor(); }

  private:
    struct Place {
        std::int64_t offset = 0;  // of the whole entry, with its key and removals in front
        std::size_t head = 0;     // length of what is in front
        std::size_t size = 0;     // of the whole entry
        bool marked = false;
    };

    void take(std::string_view entry, std::int64_t offset);
    bool shrink();

    std::map<AttemptKey, Place> places_;
    std::string removals_;  // heads that the file does not have yet
    std::size_t live_bytes_ = 0;
    RecordFile file_;
};

}  // namespace rpic

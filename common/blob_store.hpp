#pragma once

#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/descriptor.hpp"
#include "common/file_error.hpp"
#include "common/sha256.hpp"

namespace rpic {

/// A folder of blobs: files known by the SHA-256 of their contents, read-only, complete and durable
/// once they are there. Blocking: it belongs on a FileThread, and to one thread at a time.
///
///     FOLDER/ab/cdef...        the blob abcdef...; its mtime is its last use, to the hour
///     FOLDER/incoming/abcdef.. what there is so far of one that is being put
class BlobStore {
  public:
    /// Nothing is taken that would leave less than `keep_free_bytes` on the disk. The folder is
    /// made and read with the first use.
    explicit BlobStore(std::filesystem::path folder, std::int64_t keep_free_bytes = 0);

    bool has(const std::string& blob);
    /// Those of the list that are not here.
    std::vector<std::string> missing(const std::vector<std::string>& blobs);

    /// A part of a blob. Gives how much of it is here now; all of it, checked and durable, when
    /// that is `size`. A part that does not begin where the stored ones end is not stored; one at 0
    /// starts anew. Whoever puts the same blob at the same time helps. Throws FileError: `full`,
    /// `bad_request`, `conflict` if the whole has another hash (it is thrown away).
    /// With `keep_free_bytes` so much of the disk stays free, not what the store keeps otherwise.
    std::int64_t put_chunk(const std::string& blob, std::int64_t size, std::int64_t offset,
                           std::string_view bytes,
                           std::optional<std::int64_t> keep_free_bytes = std::nullopt);
    /// How much of a blob is here: all of it only if it is complete, 0 of an unknown one. What an
    /// earlier run of the program has left is read again first; if that is all of it, it becomes a
    /// blob, or is thrown away if it has another hash.
    std::int64_t received(const std::string& blob, std::int64_t size);
    /// Deletes what there is of an incomplete one, or of all but those.
    void drop_partial(const std::string& blob);
    void drop_partials_except(const std::set<std::string>& needed);

    struct Piece {
        std::int64_t size = 0;  // of the whole
        std::string bytes;      // at most limits::chunk_bytes; empty at the end
    };
    /// Throws FileError `not_found`, `bad_request` for an offset beyond the end.
    Piece get_chunk(const std::string& blob, std::int64_t offset);

    /// A complete blob for reading. Throws FileError `not_found`.
    Descriptor open(const std::string& blob);
    enum class Use { noted, unnoted };
    /// All of it, if it is at most `max_bytes`; else throws FileError `bad_request`. Who only looks
    /// after the store is no use of the blob: it leaves it unnoted.
    std::string read(const std::string& blob, std::size_t max_bytes, Use use = Use::noted);
    /// Where a complete blob lies, for programs that are given a file name.
    std::filesystem::path path_of(const std::string& blob) const;

    /// Takes these bytes as a blob; gives its name.
    std::string put_bytes(std::string_view bytes);
    /// Takes a file of the same file system itself, by renaming it. `blob` is its SHA-256, which
    /// whoever made it knows: it is not looked at.
    void take(const std::filesystem::path& file, const std::string& blob);

    /// A copy of a file on its way into the store, shared with it where the file system can do
    /// that. Step by step, so that others who use the store get a turn.
    class Intake {
      public:
        /// Reads `source` from its beginning to its end.
        Intake(BlobStore& store, Descriptor source);
        ~Intake();
        Intake(Intake&&) noexcept;
        Intake& operator=(Intake&&) = delete;
        /// Goes on for limits::file_step_bytes; true once the blob is there.
        bool step();
        const std::string& blob() const { return blob_; }
        std::int64_t size() const { return size_; }

      private:
        BlobStore& store_;
        Descriptor source_;
        Descriptor target_;
        std::filesystem::path path_;
        bool shared_ = false;  // the target has all bytes already
        Sha256 hash_;
        std::int64_t size_ = 0;
        std::string blob_;
    };

    struct BlobInfo {
        std::string blob;
        std::int64_t size = 0;
        std::int64_t used_at = 0;  // seconds since 1970, by the wall clock; to the hour
    };
    /// Every complete blob; where the disk cannot be read, those that are found.
    std::vector<BlobInfo> list();
    void remove(const std::string& blob);

    /// What is put, or asked about, for something that will name it soon and does not yet: it is
    /// not evicted for limits::blob_held.
    void hold(const std::string& blob, Instant now);
    /// Deletes those that were not used for the longest time, but none of `pinned` and none that is
    /// held, until all take at most `max_bytes` and none of them was unused for `unused`. Gives
    /// what they take then, with those that cannot be deleted; partial ones have a bound of their
    /// own, evict_partial(max_bytes). What is pinned is held no longer: it stays for as long as
    /// something names it. A wall clock that is wrong costs only what can be sent again.
    std::int64_t evict(std::int64_t max_bytes, const std::set<std::string>& pinned, Instant now,
                       Duration unused = Duration::max());

    /// Deletes partial ones that nobody continues: for limits::partial_kept, or, the oldest first,
    /// for limits::partial_spared until all of them take at most `max_bytes`.
    void evict_partial(std::int64_t max_bytes);

    /// What all of them take, partial ones too.
    std::int64_t bytes();
    /// What the partial ones take of that.
    std::int64_t partial_bytes();

  private:
    struct Partial {
        std::string blob;
        Descriptor file;
        Sha256 hash;
        std::int64_t size = 0;
        std::int64_t received = 0;
    };
    using Partials = std::list<Partial>;

    static constexpr std::string_view copy_prefix = "copy-";  // of files in incoming/ without hash

    void prepare();
    bool is_there();
    std::filesystem::path incoming(const std::string& name) const;
    std::filesystem::path next_copy();
    std::int64_t stored_size(const std::string& blob);
    Descriptor open_stored(const std::string& blob);
    Partials::iterator find_partial(const std::string& blob, std::int64_t size);
    Partials::iterator start_partial(const std::string& blob, std::int64_t size, bool anew,
                                     std::int64_t keep_free_bytes);
    void read_again(Partial& partial);
    void drop_partial(Partials::iterator partial);
    std::string finish(Partials::iterator partial);
    void adopt(const Descriptor& file, const std::filesystem::path& path, const std::string& blob,
               std::int64_t size);
    void need_space(std::int64_t bytes, std::int64_t keep_free_bytes);
    void note_use(const std::string& blob);
    void try_to_remove(const std::string& blob);

    std::filesystem::path folder_;
    std::int64_t keep_free_bytes_;
    bool prepared_ = false;
    std::int64_t bytes_ = 0;          // of complete ones
    std::int64_t partial_bytes_ = 0;  // of others
    std::uint64_t copies_ = 0;
    Partials partials_;                    // the last used first
    std::map<std::string, Instant> held_;  // until then
    std::string reading_;
    Descriptor reading_file_;
};

}  // namespace rpic

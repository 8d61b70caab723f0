#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/descriptor.hpp"
#include "common/glob.hpp"
#include "common/manifest.hpp"

/// Work below a folder that somebody else may be changing at the same time: every step goes from
/// one open folder to the next and follows no symbolic link, so nothing outside is ever touched or
/// read. Blocking; the larger ones go in steps, so that a FileThread serves others in between. All
/// throw FileError.
namespace rpic {

/// Who is to own what is made; -1: nothing is changed.
struct Owner {
    std::int64_t uid = -1;
    std::int64_t gid = -1;
};

/// Opens a folder itself.
Descriptor open_folder(const std::string& path);

/// Opens a regular file below a folder for reading. `uid`: it must belong to this user (-1: to
/// anybody).
Descriptor open_beneath(const Descriptor& folder, const std::string& path, std::int64_t uid = -1);

/// Makes the files of a manifest below a folder. What is there already is replaced, but not folders
/// by files.
class Placing {
  public:
    /// Where the bytes of a file are: they are shared or copied, or the file itself is moved.
    struct Contents {
        Descriptor file;
        std::string move_from;  // not empty: a path on the same file system
    };
    using Source = std::function<Contents(const ManifestEntry& file)>;

    Placing(Descriptor folder, Manifest manifest, Source source, Owner owner = {});
    /// What is half done does not stay.
    ~Placing();
    Placing(const Placing&) = delete;
    Placing& operator=(const Placing&) = delete;

    /// Goes on for limits::file_step_bytes or _entries; true once all is there.
    bool step();

    std::int64_t files_done() const { return files_; }
    std::int64_t bytes_done() const { return bytes_; }

  private:
    const Descriptor& parent_of(const std::string& path);
    Descriptor enter(const Descriptor& parent, const std::string& name, const std::string& path);
    void give_away(const Descriptor& parent, const std::string& name, const std::string& path);
    void place(const ManifestEntry& entry);
    void make_folder(const ManifestEntry& entry);
    void make_link(const ManifestEntry& entry);
    void begin_file(const ManifestEntry& entry);
    std::int64_t copy_more(const ManifestEntry& entry);
    void finish_file(const ManifestEntry& entry);
    void set_folder_modes();

    Descriptor folder_;
    Manifest manifest_;
    Source source_;
    Owner owner_;
    std::size_t next_ = 0;
    std::int64_t files_ = 0;
    std::int64_t bytes_ = 0;
    std::vector<std::size_t> made_;  // folders that were not there
    // The folder of the last entry, and the file under way.
    std::string parent_path_;
    Descriptor parent_;
    Contents from_;
    Descriptor to_;
    std::int64_t copied_ = 0;
    bool complete_ = false;
    std::string temporary_;
};

/// Finds what matches patterns below a folder: files, links that stay inside, folders with all that
/// is in them. Entries have sizes and no blobs yet.
struct Found {
    Manifest manifest;
    std::vector<std::string> left_out;  // in words, what matched and cannot come; a few of them
    void leave_out(std::string text);
};
/// `uid`: only files of this user are taken (-1: everybody's), so that a hard link to somebody
/// else's file brings nothing.
Found find_matching(const Descriptor& folder, const Globs& globs, std::int64_t uid);

/// Removes a folder and all below it, whatever modes, depth and owners it has. A file or link in
/// its place is removed itself.
class Removing {
  public:
    explicit Removing(std::string path);
    /// Goes on for limits::file_step_entries; true once all is gone.
    bool step();

  private:
    bool empty_folder(const Descriptor& folder, int depth);
    bool remove_entry(const Descriptor& folder, const std::string& name, int depth);

    std::string path_;
    Descriptor top_;
    std::size_t left_ = 0;  // of this step
    std::uint64_t moved_ = 0;
};

}  // namespace rpic

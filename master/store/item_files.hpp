#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "common/descriptor.hpp"
#include "master/store/records.hpp"

namespace rpic {

/// Items of jobs: files of texts, each ended by a NUL. Reading forward through a file costs little
/// for each item; a jump costs reading a thousand items, once the file was read so far.
///
/// For one thread.
class ItemFiles {
  public:
    explicit ItemFiles(BlobPath path) : path_(std::move(path)) {}

    Item read(const ItemRequest& request);

    /// Counts a file's items bit by bit; `seen` and `offset` say how far it came. False once
    /// `count` is the answer.
    struct Counting {
        std::int64_t offset = 0;
        std::int64_t item_bytes = 0;  // of the item that the last part ended in
        ItemCount count;
    };
    bool count_some(const std::string& blob, Counting& counting) const;

  private:
    /// How far a file is known.
    struct File {
        std::string blob;
        Descriptor file;
        std::vector<std::int64_t> marks;  // offset of every 1024th item
        Position position = 0;            // of the item at `offset`
        std::int64_t offset = 0;
        std::string window;              // bytes of the file ...
        std::int64_t window_offset = 0;  // ... from here on
    };

    File& open(const std::string& blob);
    static void go_to(File& file, Position position);
    static std::string take(File& file, bool wanted);

    BlobPath path_;
    std::list<File> files_;  // the one used last is first
};

}  // namespace rpic

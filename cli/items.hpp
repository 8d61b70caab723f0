#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rpic {

/// The items of a job as they travel: each ended by a NUL. Pure. Throws UsageError for an item that
/// is too long, not UTF-8 or holds a NUL, and for more than limits::tasks_per_job.
class ItemList {
  public:
    /// One item, as it is written behind ":::".
    void add(std::string_view item);

    /// A piece of a file of lines, cut anywhere. The line's end and a carriage return before it do
    /// not belong to the item.
    void feed_lines(std::string_view piece);
    /// The file has ended: what is left is a line, too.
    void end_lines();

    std::int64_t count() const { return count_; }
    const std::string& bytes() const { return bytes_; }

  private:
    void close_line();
    void close_item(std::size_t begin);

    std::string bytes_;
    std::size_t line_begin_ = 0;
    std::int64_t count_ = 0;
};

}  // namespace rpic

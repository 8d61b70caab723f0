#pragma once

#include <cstdint>
#include <string_view>

namespace rpic {

/// Writes lines to a descriptor that somebody else reads, and never waits for who does: a pipe that
/// is full, a terminal that was stopped and a disk without room cost lines and not the program. The
/// next line that gets through says how many did not. Lines longer than PIPE_BUF are cut, because
/// the kernel takes that much from whom it has told that there is room.
class LineWriter {
  public:
    explicit LineWriter(int descriptor);

    void write(std::string_view line);

  private:
    enum class Outcome { written, torn, refused };

    Outcome put(std::string_view text) const;

    int descriptor_;
    bool socket_;
    bool torn_ = false;  // the last line has no end
    std::uint64_t left_out_ = 0;
};

}  // namespace rpic

#pragma once

#include <algorithm>
#include <cstdint>

#include "common/file_error.hpp"
#include "common/limits.hpp"

namespace rpic {

/// Which part of a blob is to be sent next, while limits::chunks_ahead are under way. Pure: the
/// sender asks may_send(), sends, tells sent(), and tells stored() what each answer said, in order.
class PutWindow {
  public:
    explicit PutWindow(std::int64_t size)
        : size_(size), asking_(size > static_cast<std::int64_t>(limits::chunk_bytes)) {}

    /// Whether all of it is there.
    bool done() const { return done_; }
    bool may_send() const {
        if (done_ || lost_step_ || (asking_ && ahead_ > 0)) return false;
        return ahead_ < limits::chunks_ahead && (asking_ || next_ < size_ || ahead_ == 0);
    }

    /// Where the next part begins, and its length: 0 for the question how much is there.
    std::int64_t offset() const { return asking_ ? size_ : next_; }
    std::int64_t length() const {
        if (asking_) return 0;
        return std::min(size_ - next_, static_cast<std::int64_t>(limits::chunk_bytes));
    }

    void sent() {
        if (!asking_) next_ += length();
        ++ahead_;
    }

    /// An answer: so much is there. Throws FileError if nothing goes forward.
    void stored(std::int64_t received) {
        --ahead_;
        done_ = received == size_;
        const bool in_step = received + ahead_bytes() == next_ && !asking_;
        if (!in_step) lost_step_ = true;
        if (ahead_ > 0) return;
        // Somebody else sends the same, or the other side has started anew: go on where it is.
        if (lost_step_ && !asking_ && ++restarts_ > most_restarts && !done_)
            throw FileError("conflict",
                            "the file is sent by somebody else at the same time, who "
                            "is always ahead: try again");
        if (lost_step_) next_ = std::clamp<std::int64_t>(received, 0, size_);
        lost_step_ = asking_ = false;
    }

  private:
    static constexpr int most_restarts = 1000;

    /// What the parts under way hold: all are whole but the last of the file.
    std::int64_t ahead_bytes() const {
        const auto whole = static_cast<std::int64_t>(limits::chunk_bytes);
        if (ahead_ == 0) return 0;
        const auto last = next_ == size_ && size_ % whole != 0 ? size_ % whole : whole;
        return (ahead_ - 1) * whole + last;
    }

    std::int64_t size_;
    std::int64_t next_ = 0;
    int ahead_ = 0;
    int restarts_ = 0;
    bool asking_;  // first of all: how much is there already
    bool lost_step_ = false;
    bool done_ = false;
};

}  // namespace rpic

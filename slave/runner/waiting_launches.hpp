#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "slave/runner/messages.hpp"

namespace rpic {

/// The launches that no runner has answered, whatever becomes of runners meanwhile: each is sent to
/// the next one unless that has it, and is given up when too many runners ended with it. They are
/// always sent in the order in which they came, since one may be held until another one, which must
/// be there before it, has ended. Pure.
class WaitingLaunches {
  public:
    bool empty() const { return waiting_.empty(); }
    std::size_t size() const { return waiting_.size(); }
    /// Of all frames.
    std::size_t bytes() const { return bytes_; }

    /// False if it is under way already.
    bool add(const AttemptKey& key, std::string frame);
    /// Whether the one that was added now may be sent: a runner is attached, and has been sent all
    /// that waited for it.
    bool open() const { return open_; }
    /// Its frame, which the caller sends now.
    const std::string& sent(const AttemptKey& key);
    void answered(const AttemptKey& key);

    /// A runner which has `known` is attached: these are to be sent to it now.
    std::vector<AttemptKey> on_attached(const std::vector<RunnerAttempt>& known);
    void on_runner_gone();
    /// Those during which so many runners ended; they wait no longer.
    std::vector<AttemptKey> give_up(int deaths);

  private:
    struct Waiting {
        std::string frame;
        std::uint64_t number = 0;  // in the order in which they came
        int deaths = 0;            // runners that ended with it
        bool sent = false;
    };

    std::map<AttemptKey, Waiting> waiting_;
    std::size_t bytes_ = 0;
    std::uint64_t last_number_ = 0;
    bool open_ = false;
};

}  // namespace rpic

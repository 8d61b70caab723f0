#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "slave/runner/messages.hpp"

namespace rpic {

/// The launches that no runner has answered, whatever becomes of runners meanwhile: each is sent to
/// the next one unless that has it, and is given up when too many runners ended with it. Pure.
class WaitingLaunches {
  public:
    bool empty() const { return waiting_.empty(); }
    std::size_t size() const { return waiting_.size(); }
    /// Of all frames.
    std::size_t bytes() const { return bytes_; }

    /// False if it is under way already.
    bool add(const AttemptKey& key, std::string frame);
    /// Its frame, which the caller sends now.
    const std::string& sent(const AttemptKey& key);
    void answered(const AttemptKey& key);

    /// Those that a runner is to be sent which has `known`.
    std::vector<AttemptKey> unsent(const std::vector<RunnerAttempt>& known) const;
    void on_runner_gone();
    /// Those during which so many runners ended; they wait no longer.
    std::vector<AttemptKey> give_up(int deaths);

  private:
    struct Waiting {
        std::string frame;
        int deaths = 0;  // runners that ended with it
        bool sent = false;
    };

    std::map<AttemptKey, Waiting> waiting_;
    std::size_t bytes_ = 0;
};

}  // namespace rpic

#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

#include "common/clock.hpp"

namespace rpic::sim {

/// Chance from one seed: the same numbers on every machine.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x2545f4914f6cdd1d) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15;
        auto mixed = state_;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }
    /// Both ends are possible.
    std::int64_t pick(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    bool chance(int percent) { return pick(1, 100) <= percent; }
    Duration between(Duration low, Duration high) {
        return Duration(pick(low.count(), high.count()));
    }
    /// In [0, 1).
    double share() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }

  private:
    std::uint64_t state_;
};

/// Virtual time, and what is to happen in it. Time is counted from the beginning of the world; no
/// program in it sees this time, each has a LocalClock.
class Timeline {
  public:
    using Action = std::function<void()>;

    Duration now() const { return now_; }

    /// What is due at the same time happens in the order in which it was asked for.
    void at(Duration when, Action action) {
        entries_.push_back({std::max(when, now_), ++last_, std::move(action)});
        std::push_heap(entries_.begin(), entries_.end());
    }
    void after(Duration wait, Action action) { at(now_ + wait, std::move(action)); }

    /// False if nothing will ever happen any more.
    bool step() {
        if (entries_.empty()) return false;
        std::pop_heap(entries_.begin(), entries_.end());
        auto entry = std::move(entries_.back());
        entries_.pop_back();
        now_ = entry.when;
        entry.action();
        return true;
    }

  private:
    struct Entry {
        Duration when;
        std::uint64_t number;
        Action action;
        bool operator<(const Entry& other) const {
            return when != other.when ? when > other.when : number > other.number;
        }
    };

    Duration now_{};
    std::uint64_t last_ = 0;
    std::vector<Entry> entries_;  // a heap
};

/// CLOCK_BOOTTIME of one machine: it began when the machine did, and runs a little fast or slow.
struct LocalClock {
    Duration booted{};
    double rate = 1;  // seconds of this clock in one true second

    Instant at(Duration now) const {
        return Instant(std::chrono::seconds(10) + scaled(now - booted, rate));
    }
    /// True time that passes until this clock has counted `local`.
    Duration lasts(Duration local) const { return scaled(local, 1 / rate) + Duration(2); }

    static Duration scaled(Duration time, double factor) {
        return Duration(static_cast<Duration::rep>(static_cast<double>(time.count()) * factor));
    }
};

}  // namespace rpic::sim

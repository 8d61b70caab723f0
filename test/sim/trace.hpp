#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/job_messages.hpp"
#include "test/sim/timeline.hpp"

namespace rpic::sim {

inline std::string name_of(const AttemptKey& key) {
    return std::to_string(key.job) + "." + std::to_string(key.task) + "#" +
           std::to_string(key.attempt);
}

/// What happens, a line each, for people; costs nothing while nobody wants it.
class Trace {
  public:
    explicit Trace(const Timeline& timeline) : timeline_(timeline) {}

    bool wanted = false;
    std::string text;

    /// `who` says it, or it happens to him.
    template <class... Parts>
    void line(std::string_view who, const Parts&... parts) {
        if (!wanted) return;
        begin(who);
        (add(parts), ...);
        text += '\n';
    }

  private:
    void begin(std::string_view who) {
        const auto micros = timeline_.now().count() / 1000;
        auto seconds = std::to_string(micros / 1'000'000);
        auto rest = std::to_string(1'000'000 + micros % 1'000'000).substr(1);
        seconds.insert(0, seconds.size() < 5 ? 5 - seconds.size() : 0, ' ');
        text += seconds + "." + rest + "  ";
        text += who;
        text.append(who.size() < 8 ? 8 - who.size() : 0, ' ');
        text += ' ';
    }
    void add(std::string_view part) { text += part; }
    void add(const char* part) { text += part; }
    void add(const std::string& part) { text += part; }
    void add(std::int64_t number) { text += std::to_string(number); }
    void add(std::uint64_t number) { text += std::to_string(number); }
    void add(int number) { text += std::to_string(number); }
    void add(const AttemptKey& key) { text += name_of(key); }

    const Timeline& timeline_;
};

}  // namespace rpic::sim

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"

namespace rpic {

/// From when on a machine is unwell: settings of [master].
struct HealthLimits {
    std::int64_t hot_celsius = limits::hot_celsius;
    std::int64_t cooled_celsius = limits::cooled_celsius;
    std::int64_t warm_celsius = limits::warm_celsius;
    std::int64_t low_disk_bytes = limits::low_disk_bytes;
};

/// What a node's vitals mean for it, judged anew with each heartbeat. What comes and goes is not
/// over at once: a hot node has to cool down further than to where it became hot, and a weak power
/// supply is remembered for limits::unwell_kept.
class Health {
  public:
    enum class Change { none, unwell, well };

    /// `unwell`: something is wrong that was not wrong before.
    Change update(Instant now, const Vitals& vitals, const HealthLimits& limits);

    /// What is wrong, in words for people; empty if the machine is well.
    const std::vector<std::string>& reasons() const { return reasons_; }

    /// Why the node gets no new work; empty if it does.
    const std::string& no_work() const { return no_work_; }

    /// Others are chosen before it.
    bool weighs_less() const { return weighs_less_; }

  private:
    enum Trouble { undervoltage, hot, throttled, read_only, disk_errors, low_disk, troubles };

    bool low_on_disk(const Vitals& vitals, const HealthLimits& limits) const;
    void tell(const Vitals& vitals, const HealthLimits& limits);

    std::array<bool, troubles> wrong_{};
    std::optional<Instant> undervoltage_last_;
    std::optional<Instant> throttled_last_;
    std::vector<std::string> reasons_;
    std::string no_work_;
    bool weighs_less_ = false;
};

}  // namespace rpic

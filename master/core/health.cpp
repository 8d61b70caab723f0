#include "master/core/health.hpp"

#include <algorithm>
#include <cmath>

#include "common/text.hpp"

namespace rpic {

namespace {

/// Whether something is seen now, or was a moment ago.
bool lately(Instant now, const std::optional<bool>& seen, std::optional<Instant>& last) {
    if (seen.value_or(false)) last = now;
    return last && now - *last < limits::unwell_kept;
}

std::string celsius(double temperature) {
    return std::to_string(std::lround(temperature)) + " C";
}

}  // namespace

Health::Change Health::update(Instant now, const Vitals& vitals, const HealthLimits& limits) {
    const auto before = wrong_;
    const auto heat = vitals.temperature_c;
    const auto hot_from = wrong_[hot] ? limits.cooled_celsius : limits.hot_celsius;
    wrong_[undervoltage] = lately(now, vitals.undervoltage, undervoltage_last_);
    wrong_[hot] = heat && *heat >= static_cast<double>(hot_from);
    wrong_[throttled] = lately(now, vitals.throttled, throttled_last_);
    wrong_[read_only] = vitals.disk_read_only.value_or(false);
    wrong_[disk_errors] = vitals.disk_errors.value_or(0) > 0;
    wrong_[low_disk] = low_on_disk(vitals, limits);
    weighs_less_ = wrong_[throttled] || wrong_[read_only] || wrong_[low_disk] ||
                   vitals.frequency_capped.value_or(false) ||
                   (heat && *heat >= static_cast<double>(limits.warm_celsius));
    tell(vitals, limits);
    for (std::size_t trouble = 0; trouble < troubles; ++trouble)
        if (wrong_[trouble] && !before[trouble]) return Change::unwell;
    const auto any = [](const auto& wrong) {
        return std::find(wrong.begin(), wrong.end(), true) != wrong.end();
    };
    return any(before) && !any(wrong_) ? Change::well : Change::none;
}

/// A disk that was low has to get a quarter more free than what makes it low.
bool Health::low_on_disk(const Vitals& vitals, const HealthLimits& limits) const {
    if (!vitals.disk_bytes || !vitals.disk_free_bytes) return false;
    const auto low = std::min(limits.low_disk_bytes, *vitals.disk_bytes / limits::low_disk_part);
    return *vitals.disk_free_bytes < (wrong_[low_disk] ? low + low / 4 : low);
}

void Health::tell(const Vitals& vitals, const HealthLimits& limits) {
    reasons_.clear();
    no_work_.clear();
    if (wrong_[undervoltage])
        reasons_.emplace_back("under-voltage: the power supply or its cable is too weak");
    if (wrong_[hot]) {
        auto reason = "hot: " + celsius(*vitals.temperature_c);
        if (*vitals.temperature_c < static_cast<double>(limits.hot_celsius))
            reason += ", has to cool below " + std::to_string(limits.cooled_celsius) + " C";
        reasons_.push_back(std::move(reason));
    }
    if (!reasons_.empty()) no_work_ = reasons_.front();  // the two above, and no others
    if (wrong_[throttled]) reasons_.emplace_back("throttled by its firmware");
    if (wrong_[read_only])
        reasons_.emplace_back("its file system is read-only: the card or disk may be broken");
    if (wrong_[disk_errors]) {
        const auto count = *vitals.disk_errors;
        reasons_.push_back("its file system has had " + std::to_string(count) +
                           (count == 1 ? " error" : " errors") + ": check the card or disk");
    }
    if (wrong_[low_disk])
        reasons_.push_back("its disk is almost full: " + format_size(*vitals.disk_free_bytes) +
                           " free");
}

}  // namespace rpic

#pragma once

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

namespace rpic::bench {

/// How long something took, again and again.
class Latencies {
  public:
    void add(double seconds) { seconds_.push_back(seconds); }

    /// Their number, median, 99th percentile and maximum.
    boost::json::object report() {
        boost::json::object report;
        report["count"] = seconds_.size();
        if (seconds_.empty()) return report;
        std::sort(seconds_.begin(), seconds_.end());
        report["p50"] = at(0.5);
        report["p99"] = at(0.99);
        report["max"] = seconds_.back();
        return report;
    }

  private:
    double at(double part) const {
        return seconds_[static_cast<std::size_t>(part * static_cast<double>(seconds_.size() - 1))];
    }

    std::vector<double> seconds_;
};

}  // namespace rpic::bench

#pragma once

#include <algorithm>
#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <vector>

namespace rpic {

/// Upper ends of the buckets of every histogram, in seconds; one bucket more has what is above.
inline constexpr std::array histogram_seconds = {0.01, 0.03, 0.1,  0.3,   1.0,   3.0,   10.0,
                                                 30.0, 100., 300., 1000., 3000., 10000.};

/// How many durations fell into which bucket.
struct Histogram {
    std::vector<std::int64_t> counts = std::vector<std::int64_t>(histogram_seconds.size() + 1);
    double sum = 0;

    void add(double seconds) {
        const auto bucket =
            std::lower_bound(histogram_seconds.begin(), histogram_seconds.end(), seconds);
        ++counts[static_cast<std::size_t>(bucket - histogram_seconds.begin())];
        sum += seconds;
    }
};
BOOST_DESCRIBE_STRUCT(Histogram, (), (counts, sum))

}  // namespace rpic

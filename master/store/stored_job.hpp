#pragma once

#include "master/store/records.hpp"

/// Whether what a database gives back is what was put there. Damage that leaves the database
/// readable must not get further than its load: the core counts on sizes and numbers that are
/// possible.
namespace rpic {

/// Rows of results are known by the job and a number of so many bits.
inline constexpr int result_number_bits = 27;

/// Ids are counted up from 1; no job has a higher one, so that keys of rows cannot overflow.
inline constexpr JobId highest_job = (JobId{1} << (62 - result_number_bits)) - 1;

/// Throws std::runtime_error naming the job and what is wrong with it. Its results are not looked
/// at.
void check_stored(const StoredJob& job);

/// The same for the numbers that are counted up.
void check_stored_counters(const StoreContents& contents);

}  // namespace rpic

#pragma once

#include <string>

#include "cli/client.hpp"
#include "cli/follow.hpp"
#include "cli/verbs.hpp"

namespace rpic {

/// {"version":1,"job":job,"tasks":[task..]}, with "next" if there are more tasks.
void print_job_json(Client& client, const std::string& job);
void print_job_json(const JobAnswer& answer);

/// The words that name jobs, as one selector: "3 last 7-9" is "3,last,7-9". Throws UsageError.
std::string take_job_selector(Arguments& arguments);

/// The next word, which names one job: its id or "last". Throws UsageError.
std::string take_job(Arguments& arguments);
/// Throws UsageError unless the word names one job.
void check_job(const std::string& word);

/// One word that names jobs or tasks, checked. Throws UsageError.
void check_selector(const std::string& word);

}  // namespace rpic

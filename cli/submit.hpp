#pragma once

#include <string>
#include <vector>

#include "cli/client.hpp"
#include "cli/job_options.hpp"

namespace rpic {

/// Sends what the options name (files, items, stdin) to the master and submits the job. When the
/// connection breaks before the answer, it is submitted again with the same idempotency key, so
/// that one job comes of it. The master's warning goes to stderr. Throws UsageError, FileError, and
/// what Client throws.
Submitted submit_job(Client& client, JobOptions options);

/// The jobs of --file, each behind those that it waits for. With an idempotency key among the
/// options, that of each job is made of it and the job's name.
std::vector<Submitted> submit_job_file(Client& client, const JobOptions& options);

/// The parts of submit_job(), for those that do more in between.
std::string upload_items(Client& client, const JobOptions& options, std::int64_t& count);
void upload_files(Client& client, JobOptions& options);
Submitted submit_spec(Client& client, JobSpec spec);

}  // namespace rpic

#pragma once

#include <cstdint>

#include "slave/web/exchange.hpp"

namespace rpic::api {

/// The number of the job, and the index of the task, in the path. Throws ProblemError 404 for what
/// cannot be one.
std::int64_t job_number(const Exchange& exchange);
std::int64_t task_index(const Exchange& exchange);

/// The task of the path, as the master knows it. Throws ProblemError 404.
boost::asio::awaitable<TaskView> ask_task(Exchange& exchange, MasterDesk::Visit& visit);

}  // namespace rpic::api

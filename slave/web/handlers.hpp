#pragma once

#include <boost/asio/awaitable.hpp>

#include "slave/web/exchange.hpp"

/// The handlers of the HTTP API, by the operationId of web/openapi.json. Each throws ProblemError
/// or RequestFailedError for what goes wrong.
namespace rpic::api {

using boost::asio::awaitable;

// api_session.cpp
awaitable<Answer> get_open_api(Exchange& exchange);
awaitable<Answer> who_am_i(Exchange& exchange);
awaitable<Answer> login(Exchange& exchange);
awaitable<Answer> logout(Exchange& exchange);

// api_cluster.cpp
awaitable<Answer> get_state(Exchange& exchange);
awaitable<Answer> stream_events(Exchange& exchange);
awaitable<Answer> get_master(Exchange& exchange);
awaitable<Answer> list_nodes(Exchange& exchange);
awaitable<Answer> get_history(Exchange& exchange);
awaitable<Answer> get_node(Exchange& exchange);
awaitable<Answer> drain_node(Exchange& exchange);
awaitable<Answer> undrain_node(Exchange& exchange);
awaitable<Answer> label_node(Exchange& exchange);
awaitable<Answer> get_join_key(Exchange& exchange);
awaitable<Answer> get_metrics(Exchange& exchange);

// api_jobs.cpp
awaitable<Answer> list_jobs(Exchange& exchange);
awaitable<Answer> submit_job(Exchange& exchange);
awaitable<Answer> get_job(Exchange& exchange);
awaitable<Answer> explain_job(Exchange& exchange);
awaitable<Answer> cancel_job(Exchange& exchange);
awaitable<Answer> retry_job(Exchange& exchange);
awaitable<Answer> hold_job(Exchange& exchange);
awaitable<Answer> release_job(Exchange& exchange);
awaitable<Answer> set_priority(Exchange& exchange);

// api_tasks.cpp
awaitable<Answer> list_tasks(Exchange& exchange);
awaitable<Answer> get_task(Exchange& exchange);
awaitable<Answer> get_log(Exchange& exchange);
awaitable<Answer> follow_log(Exchange& exchange);

// api_files.cpp
awaitable<Answer> list_input_files(Exchange& exchange);
awaitable<Answer> get_input_file(Exchange& exchange);
awaitable<Answer> list_output_files(Exchange& exchange);
awaitable<Answer> get_output_file(Exchange& exchange);
awaitable<Answer> put_file(Exchange& exchange);

}  // namespace rpic::api

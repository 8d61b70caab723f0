#pragma once

#include <boost/asio/awaitable.hpp>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/connection.hpp"
#include "common/messages.hpp"
#include "master/answers.hpp"
#include "master/context.hpp"

namespace rpic {

/// Where clients ask about jobs: carries out the requests of one of them, and answers once what it
/// promises is on disk. Whether a request needs more than the right to look is said by
/// needed_role(). All of it throws RequestError.
class JobDesk {
  public:
    JobDesk(Context& context, Connection& connection, std::string submitter, bool admin)
        : context_(context),
          connection_(connection),
          submitter_(std::move(submitter)),
          admin_(admin) {}

    asio::awaitable<void> serve(Submit request);
    asio::awaitable<void> serve(ListJobs request);
    asio::awaitable<void> serve(GetJob request);
    asio::awaitable<void> serve(CancelJobs request);
    asio::awaitable<void> serve(RetryJob request);
    asio::awaitable<void> serve(HoldJobs request);
    asio::awaitable<void> serve(SetPriority request);
    asio::awaitable<void> serve(ExplainJob request);
    asio::awaitable<void> serve(WatchJobs request);
    asio::awaitable<void> serve(WatchEvents request);
    asio::awaitable<void> serve(ChangeNode request);
    asio::awaitable<void> serve(ReadOutput request);
    asio::awaitable<void> serve(MakeBackup request);

  private:
    // job_desk.cpp
    Job& job_named(const std::string& name, bool to_change);
    std::vector<Job*> jobs_chosen(const std::string& selector, bool to_change);
    void check_owner(const Job& job) const;
    asio::awaitable<void> list_newest(ListJobs request);
    asio::awaitable<void> check_blobs(const JobSpec& spec);
    asio::awaitable<void> done(std::int64_t id, Effects effects, Done answer);
    // task_lists.cpp
    std::map<Position, TaskView> running_tasks(JobId id, Position after) const;
    asio::awaitable<std::vector<TaskState>> stored_states(JobId id);
    asio::awaitable<void> send(std::vector<std::string> frames);
    asio::awaitable<OutputPiece> output_now(const ReadOutput& request);
    asio::awaitable<OutputPiece> stored_output(const ReadOutput& request, Position position);

    Context& context_;
    Connection& connection_;
    std::string submitter_;
    bool admin_;
};

}  // namespace rpic

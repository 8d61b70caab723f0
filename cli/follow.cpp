#include "cli/follow.hpp"

#include <charconv>

#include "common/errors.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::size_t outputs_ahead = 16;
constexpr Duration tick = std::chrono::seconds(1);
constexpr int ticks_of_silence = 10;

bool may_have_output(const TaskView& task) {
    return task.output_bytes > 0 || task.state == "running";
}

/// One connection's time of watching. True: all have ended, or what was seen is enough.
bool watch_once(Client& client, const std::string& jobs, const JobWatcher& watcher) {
    WatchJobs request;
    request.jobs = jobs;
    const auto id = client.send(request);
    const auto connection = client.connections();
    std::vector<JobView> picture;
    int silent = 0;
    while (client.connections() == connection) {
        auto reply = client.wait_for(id, tick);
        if (!reply) {
            // A master that lost its power says nothing, either: it is asked something.
            if (++silent % ticks_of_silence == 0) client.ask<Status>(GetStatus{});
            watcher.on_tick();
            continue;
        }
        silent = 0;
        if (std::holds_alternative<Done>(reply->message)) return true;
        auto page = Client::take<JobList>(std::move(*reply));
        for (auto& job : page.jobs) picture.push_back(std::move(job));
        if (page.more) continue;
        watcher.on_change(picture);
        if (watcher.enough()) return true;
        picture.clear();
    }
    return false;
}

}  // namespace

std::int64_t job_number(const std::string& id) {
    std::int64_t number = 0;
    const auto [rest, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc() || *rest != '\0' || number <= 0)
        throw UsageError("\"" + printable(id, limits::log_text_chars) +
                         "\" is no job: expected its number");
    return number;
}

void watch_jobs(Client& client, const std::string& jobs, const JobWatcher& watcher) {
    while (!across_restarts(client, [&] { return watch_once(client, jobs, watcher); })) {
    }
}

JobAnswer get_job(Client& client, GetJob request) {
    const auto id = client.send(std::move(request));
    JobAnswer answer;
    answer.detail = Client::take<JobDetail>(client.reply_to(id));
    answer.detail.job.command = answer.detail.spec.command;
    for (bool more = true; more;) {
        auto page = Client::take<TaskList>(client.reply_to(id));
        for (auto& task : page.tasks) answer.tasks.push_back(std::move(task));
        more = page.more;
        answer.next = page.next;
    }
    return answer;
}

void follow_output(Client& client, std::int64_t job, std::int64_t task,
                   const OutputFollower& follower) {
    TaskOutput output(job, task);
    bool nothing_new = false;
    while (!output.ended()) {
        // An attempt that is over adds nothing, and its successor has yet to start.
        if (output.complete() && nothing_new) client.pause(std::chrono::milliseconds(250));
        const auto asked_at = Clock::now();
        const auto reply = across_restarts(client, [&] {
            return client.reply_to(client.send(output.request(true)),
                                   limits::output_wait + limits::request_time);
        });
        const auto answer = Client::take<Output>(reply);
        nothing_new = reply.raw.empty();
        if (output.begins_anew(answer)) follower.on_new_attempt(answer.attempt);
        output.take(answer, reply.raw, follower.sink);
        if (output.attempt() == 0 && !output.ended()) follower.on_wait();
        const bool answered_early = Clock::now() - asked_at < std::chrono::milliseconds(50);
        if (nothing_new && !output.ended() && !output.complete() && answered_early)
            client.pause(std::chrono::milliseconds(100));
    }
}

void OutputCopier::ask_ahead(const std::vector<TaskView>& tasks, std::size_t from) {
    if (connection_ != client_.connections()) {
        connection_ = client_.connections();
        asked_.clear();
        asked_up_to_ = from;
    }
    for (; asked_up_to_ < tasks.size() && asked_.size() < outputs_ahead; ++asked_up_to_) {
        const auto& task = tasks[asked_up_to_];
        if (may_have_output(task))
            asked_.push_back(client_.send(TaskOutput(job_, task.index).request(false)));
    }
}

void OutputCopier::copy_one(const TaskView& task, const Sink& sink) {
    TaskOutput output(job_, task.index);
    const auto take = [&](const Reply& reply) {
        const auto answer = Client::take<Output>(reply);
        output.take(answer, reply.raw, [&](OutputStream stream, std::string_view bytes) {
            sink(task, stream, bytes);
        });
        return !output.complete() && !reply.raw.empty();
    };
    const auto first = asked_.front();
    asked_.pop_front();
    auto reply = across_restarts(client_, [&] {
        return connection_ == client_.connections()
                   ? client_.reply_to(first)
                   : client_.reply_to(client_.send(output.request(false)));
    });
    while (take(reply))
        reply = across_restarts(
            client_, [&] { return client_.reply_to(client_.send(output.request(false))); });
}

void OutputCopier::copy(const std::vector<TaskView>& tasks, const Sink& sink,
                        const std::function<void(const TaskView&)>& begin,
                        const std::function<void(const TaskView&)>& end) {
    asked_.clear();
    asked_up_to_ = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        ask_ahead(tasks, i);
        begin(tasks[i]);
        if (may_have_output(tasks[i])) copy_one(tasks[i], sink);
        end(tasks[i]);
    }
}

}  // namespace rpic

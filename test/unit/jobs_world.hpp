#pragma once

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "common/limits.hpp"
#include "master/core/cluster.hpp"
#include "master/core/jobs.hpp"

/// Jobs with their surroundings, for tests: nodes, time, and the effects of the last event in
/// words, so that one comparison says both what happened and that nothing else did.
namespace rpic::test {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

inline std::string text_of(const AttemptKey& key) {
    return std::to_string(key.job) + "." + std::to_string(key.task) + "#" +
           std::to_string(key.attempt);
}

inline std::string words_of(const Effect& effect) {
    if (const auto* job = std::get_if<SaveJob>(&effect))
        return "new job " + std::to_string(job->status.id);
    if (const auto* status = std::get_if<SaveJobStatus>(&effect)) {
        const auto& s = status->status;
        return "job " + std::to_string(s.id) + (s.ended ? " ended" : "") +
               (s.cancelled ? " cancelled" : "") + (s.held ? " held" : "");
    }
    if (const auto* task = std::get_if<SaveTask>(&effect)) {
        std::string text = "task " + std::to_string(task->record.job) + "." +
                           std::to_string(task->record.position) + " [";
        for (const auto& live : task->record.live)
            text += (text.back() == '[' ? "" : " ") + std::to_string(live.number) + "@" + live.node;
        return text + "]" + (task->record.cancelled ? " cancelled" : "");
    }
    if (const auto* gone = std::get_if<ForgetTask>(&effect))
        return "drop task " + std::to_string(gone->job) + "." + std::to_string(gone->position);
    if (const auto* saved = std::get_if<SaveResult>(&effect)) {
        const auto& r = saved->result;
        return "result " + std::to_string(r.job) + "." + std::to_string(r.position) + " " +
               r.state + " #" + std::to_string(r.attempt) +
               (saved->output.empty() ? "" : " " + saved->output);
    }
    if (const auto* start = std::get_if<OrderStart>(&effect))
        return "start " + std::to_string(start->job) + "." + std::to_string(start->order.task) +
               "#" + std::to_string(start->order.attempt) + " on " +
               std::to_string(start->session) + (start->order.ahead ? " ahead" : "");
    if (const auto* stop = std::get_if<OrderStop>(&effect))
        return (stop->retract ? "retract " : "stop ") + text_of(stop->attempt) + " on " +
               std::to_string(stop->session) + ": " + stop->reason;
    if (const auto* ack = std::get_if<OrderAck>(&effect))
        return "ack " + text_of(ack->attempt) + " on " + std::to_string(ack->session);
    if (const auto* power = std::get_if<OrderPower>(&effect))
        return power->action + " on " + std::to_string(power->session);
    if (const auto* ended = std::get_if<JobEnded>(&effect))
        return "ended " + std::to_string(ended->job);
    if (const auto* node = std::get_if<SaveNode>(&effect)) return "save " + node->record->id;
    if (const auto* happened = std::get_if<Happened>(&effect)) return "(" + happened->kind + ")";
    return "other";
}

/// The states of nodes and their connections are the cluster's business.
inline bool is_about_nodes(const Effect& effect) {
    if (const auto* happened = std::get_if<Happened>(&effect))
        return happened->kind == "node_online" || happened->kind == "node_suspect" ||
               happened->kind == "node_lost";
    return std::holds_alternative<Announce>(effect) || std::holds_alternative<CloseSession>(effect);
}

class JobsWorld {
  public:
    explicit JobsWorld(std::int64_t epoch = 1, JobId next = 1)
        : jobs(cluster, {Instant{1000s}, epoch, next, limits::lost_after_master_start}) {
        cluster.set_listener(&jobs);
    }

    /// A worker joins and resyncs with nothing; its id is its name.
    void worker(const std::string& name, SessionId session, std::int64_t cpus = 1,
                const std::string& arch = "amd64") {
        connect(name, session, cpus, arch);
        resync(session, {});
    }

    void connect(const std::string& name, SessionId session, std::int64_t cpus = 1,
                 const std::string& arch = "amd64") {
        Hello hello;
        hello.role = "worker";
        hello.name = name;
        hello.fingerprint = name;
        hello.boot_id = boot;
        hello.machine.arch = arch;
        hello.machine.cpu_cores = hello.cpus = cpus;
        hello.machine.ram_bytes = hello.memory_bytes = std::int64_t{1} << 30;
        hello.resources["gpu"] = 1;
        const bool known = cluster.find(name) != nullptr;
        effects_.clear();
        const std::string key = "key " + name;
        Cluster::KeyUsed used;
        if (known) used = {name, key};
        cluster.on_hello(at(), session, used, hello, "a:1", {name, key}, effects_);
    }

    std::vector<std::string> resync(SessionId session, const std::vector<AttemptState>& has) {
        effects_.clear();
        std::vector<std::string> verdicts;
        for (const auto& verdict :
             jobs.on_resync(now, session, *cluster.find_session(session), has, effects_))
            verdicts.push_back(text_of(verdict.key) + " " + verdict.verdict);
        return verdicts;
    }

    static JobSpec spec(const std::string& array = "") {
        JobSpec spec;
        spec.command = {"true"};
        spec.array = array;
        return spec;
    }

    JobId submit(JobSpec spec, const std::string& who = "ann", std::int64_t items = 0) {
        effects_.clear();
        const auto outcome = jobs.submit(now, std::make_shared<const JobSpec>(std::move(spec)), who,
                                         items, effects_);
        if (const auto* refusal = std::get_if<Jobs::Refusal>(&outcome)) {
            refused = refusal->code + ": " + refusal->reason;
            return 0;
        }
        warning = std::get<Jobs::Accepted>(outcome).warning;
        return std::get<Jobs::Accepted>(outcome).job;
    }

    void place() {
        effects_.clear();
        jobs.place(now, effects_);
    }

    void ended(SessionId session, AttemptKey key, std::int64_t code = 0,
               const std::string& outcome = "exited", const std::string& output = "",
               double seconds = 1) {
        effects_.clear();
        AttemptReport report;
        report.key = key;
        report.outcome = outcome;
        if (outcome == "exited") report.exit_code = code;
        report.duration_seconds = seconds;
        jobs.on_ended(now, session, report, output, effects_);
    }

    void retracted(SessionId session, AttemptKey key) {
        effects_.clear();
        jobs.on_retracted(now, session, {key}, effects_);
    }

    void disconnect(SessionId session) {
        effects_.clear();
        cluster.on_disconnected(at(), session, "gone", effects_);
    }

    void cancel(JobId id) {
        effects_.clear();
        jobs.cancel(now, *jobs.find(id), "cancelled by ann", effects_);
    }

    void cancel_task(JobId id, Position position) {
        effects_.clear();
        jobs.cancel_task(now, *jobs.find(id), position, effects_);
    }

    /// Time passes in steps of the master's tick.
    void pass(Duration time) {
        effects_.clear();
        for (Duration done{}; done < time; done += 250ms) {
            now.at += 250ms;
            for (const auto session : beating_) cluster.on_heard(at(), session, effects_);
            cluster.on_tick(at(), effects_);
            jobs.on_tick(now, effects_);
        }
    }
    /// These stay alive while time passes.
    void beat(std::vector<SessionId> sessions) { beating_ = std::move(sessions); }

    /// All effects of the last event in order, without those about nodes that the log tells.
    Lines effects() const {
        Lines lines;
        for (const auto& effect : effects_)
            if (!is_about_nodes(effect)) lines.push_back(words_of(effect));
        return lines;
    }
    const Effects& raw_effects() const { return effects_; }

    std::string state(JobId id) { return jobs.find(id)->state_text(); }
    Instant at() const { return now.at; }

    Moment now{Instant{1000s}, 1'700'000'000'000};
    Cluster cluster{{limits::suspect_after, limits::lost_after, limits::lost_after_master_start},
                    Instant{1000s}};
    Jobs jobs;
    std::string boot = "boot 1";  // of the nodes that connect
    std::string refused;
    std::string warning;

  private:
    Effects effects_;
    std::vector<SessionId> beating_;
};

}  // namespace rpic::test

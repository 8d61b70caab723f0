#include "test/sim/audit.hpp"

#include <algorithm>

#include "common/limits.hpp"
#include "test/sim/trace.hpp"

namespace rpic::sim {

namespace {

void must(bool holds, Kind kind, const std::string& text) {
    if (!holds) throw Violation(kind, text);
}

std::string task_name(JobId job, std::int64_t index) {
    return "task " + std::to_string(job) + "." + std::to_string(index);
}

std::string job_name(JobId job) {
    return "job " + std::to_string(job);
}

Position position_of(const JobStatus& status, std::int64_t index) {
    return (index - status.first) / status.step;
}

const LiveAttempt* live_in(const TaskRecord* record, std::int64_t number) {
    if (record == nullptr) return nullptr;
    for (const auto& live : record->live)
        if (live.number == number) return &live;
    return nullptr;
}

Holding holding_of(const NodeJob& job) {
    return {milli_cpus(job.cpus), job.memory_bytes, job.resources};
}

}  // namespace

std::string item_text(const std::string& list, Position position) {
    return "item " + std::to_string(position) + " of " + list.substr(0, 8);
}

JobId notified_job(const JobSpec& spec) {
    const auto found = spec.env.find("NOTIFY_JOB");
    return found == spec.env.end() ? 0 : std::stoll(found->second);
}

// ---------------------------------------------------------------------------------------- clients

void Audit::submit_acknowledged(const std::string& key, JobId job) {
    const auto [known, fresh] = submits_.try_emplace(key, job);
    must(known->second == job, Kind::submitted_twice,
         "the submit " + key + " was answered with job " + std::to_string(known->second) +
             " and with job " + std::to_string(job));
    acknowledged_.insert(job);
    const auto* entry = store_.job(job);
    must(entry != nullptr && entry->spec->idempotency_key == key, Kind::lost,
         job_name(job) + " was acknowledged, but is not on disk");
}

void Audit::cancel_acknowledged(JobId job, std::optional<std::int64_t> index, int age) {
    if (age != age_of(job)) return;
    if (index)
        cancelled_tasks_.insert({job, *index});
    else
        cancelled_.insert(job);
}

void Audit::taken_up_again(JobId job) {
    ++ages_[job];
    cancelled_.erase(job);
    std::erase_if(cancelled_tasks_, [&](const TaskId& task) { return task.first == job; });
}

int Audit::age_of(JobId job) const {
    const auto found = ages_.find(job);
    return found == ages_.end() ? 0 : found->second;
}

// ------------------------------------------------------------------------------------- the master

/// That this task is to be cancelled is on disk, or it has ended.
bool Audit::cancel_is_kept(JobId job, std::int64_t index) const {
    const auto& status = store_.job(job)->status;
    const auto position = position_of(status, index);
    const auto* record = store_.task(job, position);
    if (status.cancelled || status.ended) return true;
    if (record != nullptr) return record->cancelled;
    // Of a failed job that is retried, what had never begun stays cancelled.
    const auto* result = store_.result(job, position);
    const auto state = result == nullptr
                           ? state_without_result(status)
                           : state_after_result(status, *task_state(result->state), result->round);
    return state != TaskState::queued;
}

void Audit::master_started() const {
    for (const auto id : acknowledged_)
        must(store_.job(id) != nullptr, Kind::lost, job_name(id) + " was acknowledged and is gone");
    for (const auto id : cancelled_) {
        const auto& status = store_.job(id)->status;
        must(status.cancelled || status.ended, Kind::lost,
             "that " + job_name(id) + " was cancelled is forgotten");
    }
    for (const auto& [id, index] : cancelled_tasks_) {
        must(cancel_is_kept(id, index), Kind::lost,
             "that " + task_name(id, index) + " was cancelled is forgotten");
    }
}

void Audit::job_recorded(const JobStatus& status, const JobSpec& spec) {
    must(ever_.insert(status.id).second, Kind::reused,
         "the id of " + job_name(status.id) + " is given a second time");
    if (notified_job(spec) != 0) return notification_recorded(status, spec);
    for (const auto& [id, entry] : store_.jobs())
        must(entry.spec->idempotency_key != spec.idempotency_key, Kind::submitted_twice,
             "the submit " + spec.idempotency_key + " makes " + job_name(id) + " and " +
                 job_name(status.id));
}

/// One for each end of the job, and in the same batch as that.
void Audit::notification_recorded(const JobStatus& status, const JobSpec& spec) const {
    const auto of = notified_job(spec);
    const auto* entry = store_.job(of);
    must(entry != nullptr && entry->status.ended, Kind::disobeyed,
         job_name(status.id) + " notifies of the end of " + job_name(of) + ", which goes on");
    const auto earlier =
        std::count_if(store_.jobs().begin(), store_.jobs().end(),
                      [&](const auto& each) { return notified_job(*each.second.spec) == of; });
    must(earlier <= age_of(of), Kind::submitted_twice,
         "people are notified of the end of " + job_name(of) + " once more than it has ended");
}

/// With its first attempt a job has begun: what it had to wait for is over then.
void Audit::task_recorded(const TaskRecord& record) {
    if (record.live.empty() || !begun_.insert(record.job).second) return;
    for (const auto& after : store_.job(record.job)->spec->after) {
        const auto colon = after.find(':');
        const auto root = std::stoll(colon == std::string::npos ? after : after.substr(colon + 1));
        must(store_.job(root)->status.ended, Kind::disobeyed,
             job_name(record.job) + " begins before " + job_name(root) + " has ended");
    }
}

void Audit::start_ordered(const std::string& node_id, std::int64_t job, const TaskOrder& order) {
    const AttemptKey key{job, order.task, order.attempt};
    const auto* entry = store_.job(job);
    must(entry != nullptr, Kind::unrecorded, name_of(key) + " is ordered, but its job is nowhere");
    const auto& status = entry->status;
    const auto* record = store_.task(job, position_of(status, order.task));
    const auto* live = live_in(record, order.attempt);
    must(live != nullptr && live->node == node_id, Kind::unrecorded,
         name_of(key) + " is ordered, but that is not on disk");
    must(record->live.size() <= limits::live_attempts, Kind::overlap,
         task_name(job, order.task) + " has too many attempts");
    must(ordered_.insert(key).second, Kind::reused, name_of(key) + " is ordered a second time");
    must(!status.cancelled && !record->cancelled && !cancelled_.contains(job) &&
             !cancelled_tasks_.contains({job, order.task}),
         Kind::disobeyed, name_of(key) + " is ordered, but was cancelled");
    must(!status.held, Kind::disobeyed, name_of(key) + " is ordered, but its job is held");
    const auto* node = store_.node(node_id);
    must(node != nullptr, Kind::disobeyed, name_of(key) + " is ordered from a removed node");
    must(!entry->spec->on_each.empty() || (!node->draining && node->quarantine.empty()),
         Kind::disobeyed, name_of(key) + " is ordered from a node that gets no work");
}

void Audit::forgetting_allowed(const AttemptKey& key, const std::string& why) const {
    const auto* entry = store_.job(key.job);
    if (entry == nullptr) return;
    const auto* record = store_.task(key.job, position_of(entry->status, key.task));
    const auto* live = live_in(record, key.attempt);
    // A removed node is another one when it is back: nobody counts on what the first one ran.
    must(live == nullptr || store_.node(live->node) == nullptr, Kind::lost,
         name_of(key) + " may be forgotten (" + why + "), but the master's disk counts on it");
}

void Audit::result_recorded(const TaskResult& result, const std::string& output) {
    const auto& entry = *store_.job(result.job);
    const auto index = entry.status.first + result.position * entry.status.step;
    const AttemptKey key{result.job, index, result.attempt};
    const auto name = task_name(result.job, index);
    must(!store_.has_final_result({result.job, result.position}), Kind::recorded_twice,
         name + " has a second result");
    if (result.state == "done") {
        const auto truth = truths_.find(key);
        must(truth != truths_.end() && truth->second.success, Kind::recorded_twice,
             name_of(key) + " is recorded as done, but never was");
        must(truth->second.output == output || truth->second.output == result.output_blob,
             Kind::lost, "the output of " + name_of(key) + " is not what it printed");
        for (const auto* blob : {&result.output_blob, &result.files})
            must(blob->empty() || store_.has_blob(*blob), Kind::lost,
                 "files of " + name_of(key) + " count, but are not here");
    } else if (result.state == "failed" && result.reason.starts_with("poison")) {
        const auto deaths = deaths_.find({result.job, index});
        must(deaths != deaths_.end() && deaths->second >= limits::poison_deaths, Kind::disobeyed,
             name + " is called poison too early");
    } else if (result.state == "failed" && result.reason == "its node was removed") {
        const auto& id = entry.spec->on_each.at(static_cast<std::size_t>(result.position));
        must(keys_of_removed_.contains(id) || restores_ > 0, Kind::disobeyed,
             name + " has failed for a removed node, which is there");
    } else if (result.state == "failed") {
        const auto failures = failures_.find({result.job, index});
        must(failures != failures_.end() && failures->second > entry.spec->retries, Kind::disobeyed,
             name + " has failed before its retries were used: " + result.reason);
    }
}

void Audit::told(const Happened& event) const {
    must(event.kind != "attempt_lost" || !event.node.empty(), Kind::disobeyed,
         "people are told of a node without a name: " + event.text);
}

void Audit::look_at_books(const Jobs& jobs) const {
    for (const auto& [id, worker] : jobs.workers()) {
        Needs sum;
        std::size_t ahead = 0;
        std::int64_t retracting = 0;
        for (const auto& [attempt, held] : worker.attempts) {
            ahead += held.ahead;
            retracting += held.retracting;
            if (held.ahead) continue;
            sum.cpus_milli += held.needs.cpus_milli;
            sum.memory_bytes += held.needs.memory_bytes;
            for (const auto& [name, count] : held.needs.resources) sum.resources[name] += count;
        }
        bool right = sum.cpus_milli == worker.used.cpus_milli &&
                     sum.memory_bytes == worker.used.memory_bytes && ahead == worker.ahead.size() &&
                     retracting == worker.retracting;
        for (const auto& [name, count] : worker.used.resources)
            right = right && sum.resources[name] == count;
        must(right, Kind::oversubscribed, "the master's books of node " + id + " are wrong");
    }
}

/// The node itself would let wait what has no room there, so that nobody would notice. What a task
/// does not need may be short: after a resync what only sends its output counts once more.
void Audit::room_given(const Worker& worker, const Job& job) const {
    const auto& record = worker.node->record;
    bool fits = (job.cpus_milli == 0 || worker.used.cpus_milli <= worker.cpus_milli()) &&
                (job.spec->memory_bytes == 0 || worker.used.memory_bytes <= record.memory_bytes);
    for (const auto& [name, count] : job.spec->resources)
        fits = fits && worker.used.resources.at(name) <= record.resources.at(name);
    must(fits, Kind::oversubscribed,
         "a task of " + job_name(job.status.id) + " goes to node " + record.id +
             ", which has no room for it");
}

void Audit::key_shown(const std::string& key, bool known) const {
    must(known || void_keys_.contains(key), Kind::locked_out,
         "a node is refused that has stored " + key);
    must(!known || !worthless_.contains(key), Kind::locked_out,
         "the node of " + key + " was removed and is back");
}

void Audit::removed(const std::string& node_id, const std::vector<std::string>& keys) {
    keys_of_removed_[node_id] = keys;
    void_keys_.insert(keys.begin(), keys.end());
}

void Audit::removal_acknowledged(const std::string& node_id) {
    const auto& keys = keys_of_removed_.at(node_id);
    worthless_.insert(keys.begin(), keys.end());
}

void Audit::restored(const std::map<std::string, KeyRecord>& keys) {
    ++restores_;
    for (const auto& [identity, record] : keys)
        if (!store_.has_key(identity)) void_keys_.insert(identity);
    worthless_.clear();
    const auto gone = [this](JobId id) { return store_.job(id) == nullptr; };
    std::erase_if(submits_, [&](const auto& each) { return gone(each.second); });
    std::erase_if(acknowledged_, gone);
    std::erase_if(cancelled_, [&](JobId id) {
        return gone(id) || !(store_.job(id)->status.cancelled || store_.job(id)->status.ended);
    });
    std::erase_if(cancelled_tasks_, [&](const TaskId& task) {
        return gone(task.first) || !cancel_is_kept(task.first, task.second);
    });
    std::erase_if(begun_, [&](JobId id) {
        if (gone(id)) return true;
        const auto size = store_.job(id)->status.size;
        for (Position position = 0; position < size; ++position)
            if (store_.task(id, position) != nullptr || store_.result(id, position) != nullptr)
                return false;
        return true;
    });
}

// -------------------------------------------------------------------------------------- the nodes

void Audit::process_began(int board, const Holding& room, const AttemptKey& key,
                          const NodeJob& job) {
    must(ordered_.contains(key), Kind::unrecorded, name_of(key) + " runs, but was never ordered");
    must(began_.insert(key).second, Kind::reused, name_of(key) + " runs a second time");
    must(++running_[{key.job, key.task}] == 1 || job.stop_after_seconds == 0, Kind::overlap,
         name_of(key) + " begins while another attempt of its task runs");
    auto& load = loads_[board];
    const auto needs = holding_of(job);
    load.milli_cpus += needs.milli_cpus;
    load.memory_bytes += needs.memory_bytes;
    bool fits = load.milli_cpus <= room.milli_cpus && load.memory_bytes <= room.memory_bytes;
    for (const auto& [name, count] : needs.resources)
        fits = fits && (load.resources[name] += count) <= room.resources.at(name);
    must(fits, Kind::oversubscribed,
         name_of(key) + " begins on board " + std::to_string(board) + ", which has no room for it");
}

void Audit::item_arrived(const AttemptKey& key, const std::string& item) const {
    const auto* entry = store_.job(key.job);
    if (entry == nullptr) return;  // lost in a restore
    const auto& list = entry->spec->items;
    const auto wanted = list.empty() ? "" : item_text(list, position_of(entry->status, key.task));
    must(item == wanted, Kind::disobeyed,
         name_of(key) + " gets the item \"" + item + "\", not \"" + wanted + "\"");
}

void Audit::process_ended(int board, const AttemptKey& key, const NodeJob& job) {
    --running_[{key.job, key.task}];
    auto& load = loads_[board];
    const auto needs = holding_of(job);
    load.milli_cpus -= needs.milli_cpus;
    load.memory_bytes -= needs.memory_bytes;
    for (const auto& [name, count] : needs.resources) load.resources[name] -= count;
}

void Audit::ended(const AttemptReport& report, const std::string& output) {
    const auto& outcome = report.outcome;
    const bool success = outcome == "exited" && report.exit_code == 0;
    truths_[report.key] = {success, output};
    const bool counts = outcome == "signalled" || outcome == "time_limit" || outcome == "memory" ||
                        outcome == "cannot_execute" || outcome == "not_found" ||
                        (outcome == "exited" && !success);
    if (counts) ++failures_[{report.key.job, report.key.task}];
}

// ---------------------------------------------------------------------------------------- the end

void Audit::all_is_over() const {
    for (const auto& [key, id] : submits_) {
        const auto* entry = store_.job(id);
        must(entry != nullptr && entry->status.ended, Kind::stuck, job_name(id) + " has not ended");
        const auto& status = entry->status;
        if (status.cancelled || status.rest_cancelled) continue;
        for (Position position = 0; position < status.size; ++position)
            must(store_.result(id, position) != nullptr, Kind::lost,
                 task_name(id, status.first + position * status.step) + " has no result");
    }
    std::set<JobId> told;
    for (const auto& [id, entry] : store_.jobs()) told.insert(notified_job(*entry.spec));
    std::size_t notifications = 0;
    for (const auto& [id, entry] : store_.jobs()) {
        notifications += notified_job(*entry.spec) != 0;
        must(entry.spec->notify.empty() || told.contains(id), Kind::lost,
             "nobody was notified of the end of " + job_name(id));
    }
    must(store_.jobs().size() == submits_.size() + notifications, Kind::submitted_twice,
         "there are " + std::to_string(store_.jobs().size() - notifications) + " jobs, but only " +
             std::to_string(submits_.size()) + " submits");
}

bool Audit::books_are_empty(const Jobs& jobs,
                            const std::function<bool(const std::string&)>& somebody_is) {
    return std::all_of(jobs.workers().begin(), jobs.workers().end(), [&](const auto& entry) {
        const auto& [id, worker] = entry;
        const bool empty = worker.attempts.empty() && worker.detached.empty() &&
                           worker.used.cpus_milli == 0 && worker.used.memory_bytes == 0;
        return empty || !somebody_is(id);
    });
}

}  // namespace rpic::sim

#include "test/sim/users.hpp"

#include "common/limits.hpp"

namespace rpic::sim {

using namespace std::chrono_literals;

// ----------------------------------------------------------------------------------------- submits

std::shared_ptr<JobSpec> Users::make_spec() {
    auto& random = stage_.random;
    auto spec = std::make_shared<JobSpec>();
    spec->command = {"work"};
    const char* kinds[] = {"short", "short", "medium", "medium", "medium", "long"};
    spec->env["KIND"] = kinds[random.pick(0, 5)];
    const double cpus[] = {0, 0.5, 1, 1, 1, 2};
    spec->cpus = cpus[random.pick(0, 5)];
    if (random.chance(20)) spec->memory_bytes = random.pick(50, 250);
    if (random.chance(10)) spec->resources["gpu"] = 1;
    const auto last = std::to_string(random.pick(1, spec->env["KIND"] == "long" ? 3 : 8));
    if (random.chance(70)) spec->array = (random.chance(80) ? "1-" : "0-") + last;
    if (!spec->array.empty() && random.chance(20)) spec->array += random.chance(50) ? ":2" : "%2";
    if (random.chance(50)) spec->retries = random.pick(0, 2);
    if (random.chance(10)) spec->max_fails = random.pick(0, 2);
    if (random.chance(10)) spec->time_limit_seconds = 5;
    if (random.chance(15)) spec->priority = random.pick(-1, 1);
    if (random.chance(10)) spec->held = true;
    if (random.chance(files_chance_)) spec->out = {"*"};
    const bool stops = policy_ == Policy::stop || (policy_ == Policy::mixed && random.chance(40));
    spec->on_disconnect = stops ? "stop" : "keep";
    if (stops && random.chance(70))
        spec->lost_after_seconds = to_seconds(limits::lost_after_stop_min);
    for (int count = random.chance(25) ? 2 : 0; count > 0; --count)
        if (const auto root = some_job())
            spec->after.push_back((random.chance(70) ? "any:" : "") + std::to_string(*root));
    if (random.chance(12)) {
        const auto number = std::to_string(random.pick(10'000'000, 99'999'999));
        spec->array.clear();
        spec->items = number + std::string(64 - number.size(), 'e');
        spec->env["ITEMS"] = last;
        if (random.chance(20)) spec->item_limit = 2;
    }
    if (random.chance(8)) spec->notify = "mail";
    if (spec->array.empty() && spec->items.empty() && random.chance(10) && master_.up()) {
        for (const auto& [id, node] : master_.cluster()->nodes())
            if (node->record.confirmed) spec->on_each.push_back(id);
        // Each of them must be able to run it.
        spec->cpus = 0;
        spec->memory_bytes = 0;
        spec->resources.clear();
    }
    return spec;
}

void Users::submit_something(bool endless) {
    auto spec = make_spec();
    if (endless) {
        spec->env["KIND"] = "endless";
        spec->array.clear();
        spec->items.clear();
        spec->notify.clear();
        spec->on_each.clear();
        spec->after.clear();
        spec->cpus = 1;
        spec->time_limit_seconds = 0;
        spec->held = false;
        if (policy_ == Policy::mixed)
            spec->on_disconnect = stage_.random.chance(70) ? "stop" : "keep";
        spec->lost_after_seconds =
            spec->on_disconnect == "stop" ? to_seconds(limits::lost_after_stop_min) : 0;
    }
    const auto key = spec->idempotency_key = "key" + std::to_string(++last_);
    open_[key] = std::move(spec);
    send(key);
}

void Users::send(const std::string& key) {
    const auto found = open_.find(key);
    if (found == open_.end()) return;
    auto& random = stage_.random;
    if (!lost(Trouble::submit_dropped))
        stage_.timeline.after(random.between(1ms, 20ms), [this, key, spec = found->second] {
            const int world = stage_.audit.restores();
            master_.submit(spec, [this, key, spec, world](JobId job) {
                if (lost(Trouble::answer_dropped)) return;
                stage_.timeline.after(stage_.random.between(1ms, 20ms), [=, this] {
                    // What an answer from before a restore has promised is gone.
                    if (world == stage_.audit.restores()) answered(key, *spec, job);
                });
            });
        });
    stage_.timeline.after(random.between(1s, 12s), [this, key] { send(key); });
}

void Users::answered(const std::string& key, const JobSpec& spec, JobId job) {
    stage_.trace.line("user", "has ", key, " as job ", job);
    // A node or a job that it names may be gone by now.
    if (job == 0 && spec.on_each.empty() && spec.after.empty())
        throw Violation(Kind::stuck, "the submit " + key + " is refused");
    if (job != 0) stage_.audit.submit_acknowledged(key, job);
    open_.erase(key);
}

// ----------------------------------------------------------------------------------------- changes

std::optional<JobId> Users::some_job() {
    const auto& submits = stage_.audit.submits();
    if (submits.empty()) return std::nullopt;
    auto some = submits.begin();
    std::advance(some, stage_.random.pick(0, static_cast<std::int64_t>(submits.size()) - 1));
    return some->second;
}

void Users::change_something() {
    const auto job = some_job();
    const auto what = stage_.random.pick(1, 100);
    if (what <= 5 && stage_.faults) return remove_node();
    if (!job || what <= 25) return change_node();
    if (what <= 45 && retries_ < 2) return retry(*job, stage_.random.chance(50));
    change_job(static_cast<int>(what), *job);
}

void Users::change_job(int what, JobId id) {
    const auto wish = stage_.random.next();
    auto cancelled = std::make_shared<std::optional<std::int64_t>>();
    auto age = std::make_shared<int>(0);
    const bool cancels_job = what > 45 && what <= 52;
    const bool cancels_task = what > 52 && what <= 70;
    const auto change = [=, this](Cluster&, Jobs& jobs, Moment now, Effects& effects) {
        auto* job = jobs.find(id);
        if (job == nullptr || lost(Trouble::submit_dropped)) return false;
        *age = stage_.audit.age_of(id);
        if (cancels_job) {
            stage_.trace.line("user", "cancels job ", id);
            jobs.cancel(now, *job, "cancelled by ann", effects);
        } else if (cancels_task) {
            const auto position =
                static_cast<Position>(wish % static_cast<std::uint64_t>(job->status.size));
            *cancelled = job->index(position);
            stage_.trace.line("user", "cancels task ", id, ".", **cancelled);
            jobs.cancel_task(now, *job, position, effects);
        } else if (what <= 90) {
            stage_.trace.line("user", job->status.held ? "releases" : "holds", " job ", id);
            jobs.hold(now, *job, !job->status.held, effects);
        } else {
            jobs.set_priority(*job, static_cast<std::int64_t>(wish % 3) - 1, effects);
        }
        return true;
    };
    master_.change(change, [=, this](bool done) {
        if (!done || lost(Trouble::answer_dropped) || !(cancels_job || cancels_task)) return;
        stage_.audit.cancel_acknowledged(id, *cancelled, *age);
    });
}

void Users::retry(JobId id, bool cancelled_too) {
    const auto change = [=, this](Cluster&, Jobs& jobs, Moment now, Effects& effects) {
        auto* job = jobs.find(id);
        const auto* entry = stage_.store.job(id);
        // Its tasks are read from the disk, so what ended them must be there.
        if (job == nullptr || !job->ended() || entry == nullptr || !entry->status.ended)
            return false;
        if (jobs.retry(now, *job, stage_.store.states(id), cancelled_too, effects) == 0)
            return false;
        stage_.trace.line("user", "retries job ", id);
        ++retries_;
        stage_.audit.taken_up_again(id);
        for (Position position = 0; position < job->status.size; ++position) {
            const auto* result = stage_.store.result(id, position);
            if (result != nullptr && is_taken_up(*task_state(result->state), cancelled_too))
                stage_.store.may_end_again({id, position});
        }
        return true;
    };
    master_.change(change, [](bool) {});
}

void Users::change_node() {
    const auto wish = stage_.random.next();
    const auto change = [=, this](Cluster& cluster, Jobs& jobs, Moment now, Effects& effects) {
        const auto& nodes = cluster.nodes();
        if (nodes.empty()) return false;
        auto some = nodes.begin();
        std::advance(some, static_cast<std::int64_t>(wish % nodes.size()));
        const auto& node = *some->second;
        const bool drain = !node.record.draining;
        stage_.trace.line("user", drain ? "drains " : "undrains ", node.record.name);
        std::optional<Instant> deadline;
        if (drain && wish % 5 < 2) deadline = now.at + 5s;
        cluster.set_draining(some->first, drain, effects);
        jobs.on_drain(node, deadline, effects);
        return true;
    };
    master_.change(change, [](bool) {});
}

void Users::remove_node() {
    const auto wish = stage_.random.next();
    const auto removed = std::make_shared<std::pair<std::string, std::string>>();  // id, name
    const auto change = [=, this](Cluster& cluster, Jobs&, Moment now, Effects& effects) {
        const auto& nodes = cluster.nodes();
        if (nodes.empty()) return false;
        auto some = nodes.begin();
        std::advance(some, static_cast<std::int64_t>(wish % nodes.size()));
        const auto& record = some->second->record;
        auto keys = record.offered_keys;
        keys.push_back(record.key_identity);
        *removed = {record.id, record.wished_name};
        stage_.trace.line("user", "removes ", record.name);
        stage_.audit.removed(record.id, keys);
        return cluster.remove(now.at, removed->first, effects);
    };
    master_.change(change, [this, removed](bool done) {
        if (!done) return;
        stage_.audit.removal_acknowledged(removed->first);
        on_removed(removed->second);
    });
}

void Users::let_all_go_on() {
    const auto change = [](Cluster& cluster, Jobs& jobs, Moment now, Effects& effects) {
        for (const auto& [id, node] : cluster.nodes()) {
            cluster.quarantine(id, "", effects);
            if (!node->record.draining) continue;
            cluster.set_draining(id, false, effects);
            jobs.on_drain(*node, std::nullopt, effects);
        }
        for (const auto& [id, job] : jobs.all())
            if (job->status.held) jobs.hold(now, *job, false, effects);
        return true;
    };
    master_.change(change, [](bool) {});
}

}  // namespace rpic::sim

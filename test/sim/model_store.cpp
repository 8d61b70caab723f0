#include "test/sim/model_store.hpp"

#include "test/sim/bugs.hpp"

namespace rpic::sim {

namespace {

template <class Map, class Key>
auto* find_in(Map& map, const Key& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : &found->second;
}

}  // namespace

void ModelStore::apply(const StoreBatch& batch, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        std::visit([this](const auto& operation) { take(operation); }, batch[i]);
}

void ModelStore::take(const PutJob& put) {
    on_job(put.status, *put.spec);
    now_.jobs[put.status.id] = {put.status, put.spec};
}

void ModelStore::take(const DropJobs& drop) {
    for (const auto id : drop.ids) now_.jobs.erase(id);
}

void ModelStore::take(const PutTask& put) {
    on_task(put.record);
    now_.tasks[{put.record.job, put.record.position}] = put.record;
}

void ModelStore::take(const PutResult& put) {
    on_result(put.result, put.output);
    const TaskId task{put.result.job, put.result.position};
    now_.may_end_again.erase(task);
    now_.results[task] = put.result;
}

void ModelStore::take(const SetMeta& set) {
    if (set.name == meta_next_job) now_.next_job = set.value;
}

StoreContents ModelStore::load() const {
    StoreContents contents;
    contents.next_job = now_.next_job;
    contents.epoch = now_.epoch;
    for (const auto& [identity, record] : now_.keys) contents.keys.push_back(record);
    for (const auto& [id, record] : now_.nodes) contents.nodes.push_back(record);
    for (const auto& [id, entry] : now_.jobs) {
        StoredJob job;
        job.status = entry.status;
        job.spec = entry.spec;
        const auto end = now_.results.lower_bound({id + 1, 0});
        for (auto each = now_.results.lower_bound({id, 0}); !job.status.ended && each != end;
             ++each) {
            job.states.resize(static_cast<std::size_t>(each->first.second),
                              state_without_result(job.status));
            job.states.push_back(state_after_result(job.status, *task_state(each->second.state),
                                                    each->second.round));
            job.highest_attempt = std::max(job.highest_attempt, each->second.attempt);
        }
        contents.jobs.push_back(std::move(job));
    }
    for (const auto& [id, record] : now_.tasks) contents.tasks.push_back(record);
    return contents;
}

void ModelStore::restore(Contents backup) {
    constexpr JobId ahead = 1000;
    now_ = std::move(backup);
    if (!planted("epoch_not_raised")) ++now_.epoch;
    if (!planted("job_ids_given_again")) now_.next_job = ((now_.next_job - 1) / ahead + 2) * ahead;
}

const ModelStore::Entry* ModelStore::job(JobId id) const {
    return find_in(now_.jobs, id);
}

const TaskRecord* ModelStore::task(JobId id, Position position) const {
    return find_in(now_.tasks, TaskId{id, position});
}

const TaskResult* ModelStore::result(JobId id, Position position) const {
    return find_in(now_.results, TaskId{id, position});
}

const NodeRecord* ModelStore::node(const std::string& id) const {
    return find_in(now_.nodes, id);
}

std::vector<TaskState> ModelStore::states(JobId id) const {
    std::vector<TaskState> states;
    const auto* entry = job(id);
    for (Position position = 0; entry != nullptr && position < entry->status.size; ++position) {
        const auto* ended = result(id, position);
        const auto state = ended == nullptr ? TaskState::cancelled : *task_state(ended->state);
        const bool taken_up = ended != nullptr && !stands(entry->status, state, ended->round);
        states.push_back(taken_up ? TaskState::cancelled : state);
    }
    return states;
}

}  // namespace rpic::sim

#include "master/turn.hpp"

#include "common/limits.hpp"

namespace rpic {

namespace {

PutResult result_operation(SaveResult& saved, std::int64_t wall_ms) {
    if (saved.started_ago_seconds > 0)
        saved.result.started_at_ms =
            wall_ms - static_cast<std::int64_t>(saved.started_ago_seconds * 1000);
    return PutResult{std::move(saved.result), std::move(saved.output)};
}

}  // namespace

void Turn::take(Effect& effect, const Jobs& jobs, std::int64_t wall_ms) {
    if (take_record(effect, wall_ms)) return;
    if (auto* start = std::get_if<OrderStart>(&effect)) {
        const auto* of = jobs.find(start->job);
        if (of != nullptr && !of->spec->items.empty()) {
            items.push_back({of->spec->items, start->position});
            items_for_.push_back(sendings_.size());
        }
        sendings_.emplace_back(std::move(*start));
    } else if (auto* stop = std::get_if<OrderStop>(&effect)) {
        sendings_.emplace_back(std::move(*stop));
    } else if (auto* ack = std::get_if<OrderAck>(&effect)) {
        sendings_.emplace_back(*ack);
    } else if (auto* power = std::get_if<OrderPower>(&effect)) {
        sendings_.emplace_back(std::move(*power));
    } else if (auto* ended = std::get_if<JobEnded>(&effect)) {
        sendings_.emplace_back(*ended);
    }
}

bool Turn::take_record(Effect& effect, std::int64_t wall_ms) {
    if (auto* save = std::get_if<SaveNode>(&effect)) {
        batch.emplace_back(PutNode{std::move(save->record)});
    } else if (auto* gone = std::get_if<ForgetNode>(&effect)) {
        for (auto& identity : gone->key_identities) batch.emplace_back(DropKey{identity});
        batch.emplace_back(DropNode{gone->id});
    } else if (auto* key = std::get_if<ForgetKey>(&effect)) {
        batch.emplace_back(DropKey{key->key_identity});
    } else if (auto* job = std::get_if<SaveJob>(&effect)) {
        batch.emplace_back(SetMeta{meta_next_job, job->status.id + 1});
        batch.emplace_back(PutJob{std::move(job->status), std::move(job->spec)});
    } else if (auto* status = std::get_if<SaveJobStatus>(&effect)) {
        batch.emplace_back(PutJobStatus{std::move(status->status)});
    } else if (auto* task = std::get_if<SaveTask>(&effect)) {
        batch.emplace_back(PutTask{std::move(task->record)});
    } else if (auto* dropped = std::get_if<ForgetTask>(&effect)) {
        batch.emplace_back(DropTask{dropped->job, dropped->position});
    } else if (auto* result = std::get_if<SaveResult>(&effect)) {
        batch.emplace_back(result_operation(*result, wall_ms));
    } else {
        return false;
    }
    return true;
}

void Turn::record(StoreBatch more) {
    for (auto& operation : more) batch.push_back(std::move(operation));
}

void Turn::answer(SessionId session, Resynced message) {
    sendings_.emplace_back(Answer{session, std::move(message)});
}

OrderStart& Turn::start_of_item(std::size_t place) {
    return std::get<OrderStart>(sendings_[items_for_[place]]);
}

/// The starts of one job on one connection travel together. Before the first of them the node is
/// told what the job is, in a frame of its own: neither can grow beyond the limit then.
std::size_t Turn::send_starts(TurnPost& post, const Cluster& cluster, const Jobs& jobs,
                              std::size_t place) const {
    const auto& first = std::get<OrderStart>(sendings_[place]);
    StartTasks message;
    message.job = first.job;
    std::size_t bytes = 0;
    for (; place < sendings_.size() && bytes < limits::page_bytes; ++place) {
        const auto* start = std::get_if<OrderStart>(&sendings_[place]);
        if (start == nullptr || start->job != first.job || start->session != first.session) break;
        // JSON writes a character as six at most.
        const auto size = 80 + start->order.item.size() * 6;
        if (bytes > 0 && bytes + size > limits::page_bytes) break;
        bytes += size;
        message.tasks.push_back(start->order);
    }
    auto* known_jobs = post.known_jobs(first.session);
    const auto* job = jobs.find(first.job);
    if (known_jobs == nullptr || job == nullptr) return place;
    if (known_jobs->insert(first.job).second) {
        const auto* node = cluster.find_session(first.session);
        StartTasks introduction;
        introduction.job = first.job;
        introduction.spec = node_job(*job, node == nullptr ? "" : node->record.machine.arch);
        post.send(first.session, introduction);
    }
    post.send(first.session, message);
    return place;
}

template <class Order, class Message>
std::size_t Turn::send_keys(TurnPost& post, std::size_t place, Message message) const {
    const auto& first = std::get<Order>(sendings_[place]);
    for (; place < sendings_.size() && message.attempts.size() < 500; ++place) {
        const auto* order = std::get_if<Order>(&sendings_[place]);
        if (order == nullptr || order->session != first.session) break;
        if constexpr (requires { order->retract; })
            if (order->retract != first.retract || order->reason != first.reason) break;
        message.attempts.push_back(order->attempt);
    }
    post.send(first.session, message);
    return place;
}

void Turn::send(TurnPost& post, const Cluster& cluster, const Jobs& jobs) const {
    for (std::size_t place = 0; place < sendings_.size();) {
        const auto& sending = sendings_[place];
        if (std::holds_alternative<OrderStart>(sending)) {
            place = send_starts(post, cluster, jobs, place);
        } else if (const auto* stop = std::get_if<OrderStop>(&sending)) {
            StopAttempts message;
            message.retract = stop->retract;
            message.reason = stop->reason;
            place = send_keys<OrderStop>(post, place, std::move(message));
        } else if (std::holds_alternative<OrderAck>(sending)) {
            place = send_keys<OrderAck>(post, place, AckAttempts{});
        } else if (const auto* power = std::get_if<OrderPower>(&sending)) {
            Power message;
            message.action = power->action;
            post.send(power->session, message);
            ++place;
        } else if (const auto* answer = std::get_if<Answer>(&sending)) {
            post.send(answer->session, answer->message);
            ++place;
        } else {
            post.drop_job(std::get<JobEnded>(sending).job);
            ++place;
        }
    }
}

void take_up(StoreContents& contents, Cluster& cluster, Jobs& jobs, Moment now, Effects& effects) {
    for (auto& record : contents.nodes) cluster.restore(std::move(record));
    for (auto& job : contents.jobs)
        jobs.restore(std::move(job.status), std::move(job.spec), std::move(job.states),
                     job.highest_attempt);
    for (const auto& task : contents.tasks) jobs.restore(task);
    cluster.set_listener(&jobs);
    jobs.restored(now, effects);
}

}  // namespace rpic

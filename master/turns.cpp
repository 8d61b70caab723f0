#include "master/turns.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/codec.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/utf8.hpp"
#include "master/context.hpp"
#include "master/viewers.hpp"

namespace rpic {

namespace {

std::int64_t wall_ms() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

EventView event_of(const Happened& happened) {
    EventView event;
    event.at = rfc3339(wall_seconds());
    event.kind = happened.kind;
    event.node = happened.node;
    if (happened.job != 0) event.job = std::to_string(happened.job);
    event.task = happened.task;
    event.text = happened.text;
    return event;
}

PutResult result_operation(SaveResult& saved) {
    if (saved.started_ago_seconds > 0)
        saved.result.started_at_ms =
            wall_ms() - static_cast<std::int64_t>(saved.started_ago_seconds * 1000);
    return PutResult{std::move(saved.result), std::move(saved.output)};
}

}  // namespace

void Turns::add(Effects effects) {
    for (auto& effect : effects) take(effect);
    // Even where nothing is recorded there may be room for a task now.
    more_.notify();
}

void Turns::record(StoreBatch batch) {
    for (auto& operation : batch) turn_.batch.push_back(std::move(operation));
    more_.notify();
}

void Turns::send(SessionId session, std::string frame) {
    turn_.sendings.emplace_back(Answer{session, std::move(frame)});
    more_.notify();
}

/// One effect: done at once if it is no record and no message, else put into the turn.
void Turns::take(Effect& effect) {
    note_for_viewers(context_, effect);
    auto& batch = turn_.batch;
    if (auto* save = std::get_if<SaveNode>(&effect)) {
        batch.emplace_back(PutNode{std::move(save->record)});
    } else if (auto* gone = std::get_if<ForgetNode>(&effect)) {
        context_.keyring.drop(gone->key_identity);
        context_.sessions.end_clients_of(gone->key_identity, 0, "the node was removed");
        batch.emplace_back(DropKey{gone->key_identity});
        batch.emplace_back(DropNode{gone->id});
    } else if (auto* key = std::get_if<ForgetKey>(&effect)) {
        context_.keyring.drop(key->key_identity);
        batch.emplace_back(DropKey{key->key_identity});
    } else if (auto* close = std::get_if<CloseSession>(&effect)) {
        context_.sessions.end(close->session, close->code, close->reason);
    } else if (auto* announce = std::get_if<Announce>(&effect)) {
        log_rarely(announce->warning ? Severity::warning : Severity::info, announce->kind,
                   announce->about, announce->text);
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
        batch.emplace_back(result_operation(*result));
    } else if (auto* start = std::get_if<OrderStart>(&effect)) {
        const auto* of = context_.jobs.find(start->job);
        if (of != nullptr && !of->spec->items.empty()) {
            turn_.items.push_back({of->spec->items, start->position});
            turn_.items_for.push_back(turn_.sendings.size());
        }
        turn_.sendings.emplace_back(std::move(*start));
    } else if (auto* stop = std::get_if<OrderStop>(&effect)) {
        turn_.sendings.emplace_back(std::move(*stop));
    } else if (auto* ack = std::get_if<OrderAck>(&effect)) {
        turn_.sendings.emplace_back(*ack);
    } else if (auto* power = std::get_if<OrderPower>(&effect)) {
        turn_.sendings.emplace_back(std::move(*power));
    } else if (auto* ended = std::get_if<JobEnded>(&effect)) {
        turn_.sendings.emplace_back(*ended);
    } else if (auto* happened = std::get_if<Happened>(&effect)) {
        context_.events.add(event_of(*happened));
    }
}

asio::awaitable<void> Turns::settled() {
    const auto number = open_;
    more_.notify();
    auto seen = done_.count();
    while (settled_ < number) seen = co_await done_.wait(seen);
}

asio::awaitable<void> Turns::run() {
    const auto executor = co_await asio::this_coro::executor;
    auto seen = more_.count();
    Instant last{};
    for (;;) {
        // What other sessions do in the same turn of the loop belongs to this one, too.
        co_await asio::post(executor, asio::use_awaitable);
        co_await gather(last);
        last = Clock::now();
        Effects effects;
        const auto now = context_.moment();
        context_.jobs.place(now, effects);
        for (auto& effect : effects) take(effect);
        seen = more_.count();
        const bool unfinished = context_.jobs.unfinished();
        Turn turn;
        std::swap(turn, turn_);
        const auto number = open_++;
        co_await carry_out(std::move(turn));
        settled_ = number;
        done_.notify();
        const auto version = context_.jobs.version();
        if (version != shown_) context_.job_changes.notify();
        shown_ = version;
        if (!unfinished) co_await more_.wait(seen);
    }
}

/// Lets the turn last, but not for a node that has run out of work.
asio::awaitable<void> Turns::gather(Instant last) {
    while (context_.jobs.backlog()) {
        const Duration left = last + limits::turn_gather - Clock::now();
        if (left <= Duration::zero()) co_return;
        const auto step = std::min<Duration>(left, limits::turn_gather / 8);
        co_await sleep_for(step);
    }
}

asio::awaitable<void> Turns::carry_out(Turn turn) {
    if (turn.empty()) co_return;
    auto items = co_await context_.store.commit(std::move(turn.batch), std::move(turn.items));
    fill_items(turn, items);
    send(turn);
}

/// An item that cannot be read fails its task; the node has no part in that.
void Turns::fill_items(Turn& turn, std::vector<Item>& items) {
    for (std::size_t i = 0; i < turn.items_for.size() && i < items.size(); ++i) {
        auto& start = std::get<OrderStart>(turn.sendings[turn.items_for[i]]);
        start.order.item = std::move(items[i].text);
        // JSON carries nothing else.
        if (!is_utf8(start.order.item)) items[i].failure = "its item is not UTF-8";
        if (items[i].failure.empty()) continue;
        AttemptReport report;
        report.key = AttemptKey{start.job, start.order.task, start.order.attempt};
        report.outcome = "cannot_execute";
        report.reason = items[i].failure;
        Effects effects;
        context_.jobs.on_ended(context_.moment(), start.session, report, {}, effects);
        start.session = 0;
        add(std::move(effects));
    }
}

/// The starts of one job on one connection travel together. Before the first of them the node is
/// told what the job is, in a frame of its own: neither can grow beyond the limit then.
std::size_t Turns::send_starts(const std::vector<Sending>& sendings, std::size_t place) {
    const auto& first = std::get<OrderStart>(sendings[place]);
    StartTasks message;
    message.job = first.job;
    std::size_t bytes = 0;
    for (; place < sendings.size() && bytes < limits::page_bytes; ++place) {
        const auto* start = std::get_if<OrderStart>(&sendings[place]);
        if (start == nullptr || start->job != first.job || start->session != first.session) break;
        // JSON writes a character as six at most.
        const auto size = 80 + start->order.item.size() * 6;
        if (bytes > 0 && bytes + size > limits::page_bytes) break;
        bytes += size;
        message.tasks.push_back(start->order);
    }
    auto* session = context_.sessions.find(first.session);
    const auto* job = context_.jobs.find(first.job);
    if (session == nullptr || job == nullptr) return place;
    if (session->known_jobs.insert(first.job).second) {
        const auto* node = context_.cluster.find_session(first.session);
        StartTasks introduction;
        introduction.job = first.job;
        introduction.spec = node_job(*job, node == nullptr ? "" : node->record.machine.arch);
        session->connection->send(introduction);
    }
    session->connection->send(message);
    return place;
}

template <class Order, class Message>
std::size_t Turns::send_keys(const std::vector<Sending>& sendings, std::size_t place,
                             Message message) {
    const auto& first = std::get<Order>(sendings[place]);
    for (; place < sendings.size() && message.attempts.size() < 500; ++place) {
        const auto* order = std::get_if<Order>(&sendings[place]);
        if (order == nullptr || order->session != first.session) break;
        if constexpr (requires { order->retract; })
            if (order->retract != first.retract || order->reason != first.reason) break;
        message.attempts.push_back(order->attempt);
    }
    if (auto* session = context_.sessions.find(first.session)) session->connection->send(message);
    return place;
}

void Turns::send(const Turn& turn) {
    const auto& sendings = turn.sendings;
    for (std::size_t place = 0; place < sendings.size();) {
        const auto& sending = sendings[place];
        if (std::holds_alternative<OrderStart>(sending)) {
            place = send_starts(sendings, place);
        } else if (const auto* stop = std::get_if<OrderStop>(&sending)) {
            StopAttempts message;
            message.retract = stop->retract;
            message.reason = stop->reason;
            place = send_keys<OrderStop>(sendings, place, message);
        } else if (std::holds_alternative<OrderAck>(sending)) {
            place = send_keys<OrderAck>(sendings, place, AckAttempts{});
        } else if (const auto* power = std::get_if<OrderPower>(&sending)) {
            Power message;
            message.action = power->action;
            if (auto* session = context_.sessions.find(power->session))
                session->connection->send(message);
            ++place;
        } else if (const auto* answer = std::get_if<Answer>(&sending)) {
            if (auto* session = context_.sessions.find(answer->session))
                session->connection->send_bytes(answer->frame);
            ++place;
        } else {
            const auto ended = std::get<JobEnded>(sending).job;
            DropJob message;
            message.job = ended;
            for (auto& [id, session] : context_.sessions.all())
                if (session.known_jobs.erase(ended) > 0) session.connection->send(message);
            context_.job_news.notify();
            ++place;
        }
    }
}

}  // namespace rpic

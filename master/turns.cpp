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

}  // namespace

void Turns::add(Effects effects) {
    for (auto& effect : effects) take(effect);
    // Even where nothing is recorded there may be room for a task now.
    more_.notify();
}

void Turns::record(StoreBatch batch) {
    turn_.record(std::move(batch));
    more_.notify();
}

void Turns::answer(SessionId session, Resynced message) {
    turn_.answer(session, std::move(message));
    more_.notify();
}

/// One effect: what is no record and no message is done at once, the rest is put into the turn.
void Turns::take(Effect& effect) {
    note_for_viewers(context_, effect);
    if (const auto* gone = std::get_if<ForgetNode>(&effect)) {
        for (const auto& identity : gone->key_identities) {
            context_.keyring.drop(identity);
            context_.sessions.end_clients_of(identity, 0, "the node was removed");
        }
    } else if (const auto* key = std::get_if<ForgetKey>(&effect)) {
        context_.keyring.drop(key->key_identity);
    } else if (const auto* close = std::get_if<CloseSession>(&effect)) {
        context_.sessions.end(close->session, close->code, close->reason);
    } else if (const auto* announce = std::get_if<Announce>(&effect)) {
        log_rarely(announce->warning ? Severity::warning : Severity::info, announce->kind,
                   announce->about, announce->text);
    } else if (const auto* happened = std::get_if<Happened>(&effect)) {
        context_.events.add(event_of(*happened));
    }
    turn_.take(effect, context_.jobs, wall_ms());
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
    turn.send(*this, context_.cluster, context_.jobs);
}

/// An item that cannot be read fails its task; the node has no part in that.
void Turns::fill_items(Turn& turn, std::vector<Item>& items) {
    for (std::size_t i = 0; i < turn.starts_with_items() && i < items.size(); ++i) {
        auto& start = turn.start_of_item(i);
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

std::set<JobId>* Turns::known_jobs(SessionId session) {
    auto* found = context_.sessions.find(session);
    return found == nullptr ? nullptr : &found->known_jobs;
}

void Turns::send(SessionId session, const Message& message) {
    auto* found = context_.sessions.find(session);
    if (found == nullptr) return;
    std::visit([&](const auto& each) { found->connection->send(each); }, message);
}

void Turns::drop_job(JobId job) {
    DropJob message;
    message.job = job;
    for (auto& [id, session] : context_.sessions.all())
        if (session.known_jobs.erase(job) > 0) session.connection->send(message);
    context_.job_news.notify();
}

}  // namespace rpic

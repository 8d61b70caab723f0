#include "slave/files/bulk_link.hpp"

#include <boost/system/system_error.hpp>

#include "common/dial.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"

/// The connection itself: it comes and goes, requests and answers find each other.
namespace rpic {

namespace {

constexpr int answerers = 8;  // questions for output that are answered side by side

asio::awaitable<void> give_up_after(Duration time) {
    co_await sleep_for(time);
    throw DisconnectionError("the master did not answer the handshake of the bulk link");
}

}  // namespace

BulkLink::BulkLink(const asio::any_io_executor& executor, FileThread& files)
    : executor_(executor), files_(files), changed_(executor) {}

void BulkLink::set_master(HostPort master, std::string key) {
    const bool other = !master_ || master_->host != master.host || master_->port != master.port;
    if (other && link_ != nullptr) link_->close("another master");
    master_ = std::move(master);
    key_ = std::move(key);
    changed_.notify();
}

void BulkLink::no_master() {
    master_.reset();
}

void BulkLink::open() {
    asked_to_open_ = link_ == nullptr;
    last_used_ = Clock::now();
    changed_.notify();
}

asio::awaitable<void> BulkLink::run() {
    for (;;) {
        auto seen = changed_.count();
        while (!master_ || !link_wanted()) seen = co_await changed_.wait(seen);
        std::string reason;
        try {
            co_await run_once();
        } catch (const DisconnectionError& error) {
            reason = error.what();
        } catch (const BadMessageError& error) {
            reason = std::string("the master sent ") + error.what();
        }
        if (reason.empty()) continue;
        if (last_request_ > 0) log_rarely(Severity::info, "bulk link", "master", reason);
        asked_to_open_ = false;
        const auto pause = backoff_.next(Clock::now(), random_unit());
        co_await sleep_for(pause);
    }
}

/// From the connection to its end; returns if it was idle.
asio::awaitable<void> BulkLink::run_once() {
    const TlsClient tls(key_);
    const HostPort target = *master_;
    Connection link = co_await dial(target);
    co_await until_first_failure(link.connect_tls(tls), give_up_after(limits::hello_time));
    link.set_frame_limits(limits::control_frame_bytes, limits::raw_tail_bytes);
    link.send(Bulk());
    struct Lose {
        BulkLink& owner;
        ~Lose() { owner.lose_link(); }
    };
    const Lose lose{*this};
    link_ = &link;
    asked_to_open_ = false;
    last_used_ = Clock::now();
    changed_.notify();
    co_await until_first_failure(read(link), close_when_idle(link), answer_some(link),
                                 answer_some(link), answer_some(link), answer_some(link),
                                 answer_some(link), answer_some(link), answer_some(link),
                                 answer_some(link));
}

void BulkLink::lose_link() {
    link_ = nullptr;
    questions_.clear();
    for (const auto& [id, pending] : pending_) {
        pending->lost = true;
        pending->changed.notify();
    }
    pending_.clear();
}

asio::awaitable<void> BulkLink::close_when_idle(Connection& link) {
    const Duration step = std::chrono::seconds(1);
    for (;;) {
        co_await sleep_for(step);
        const auto now = Clock::now();
        link.close_if_overdue(now);
        const bool silent = now - std::max(link.last_heard(), last_used_) > limits::bulk_silence;
        if (!pending_.empty() && silent) throw DisconnectionError("the master is silent there");
        const bool idle = transfers_ == 0 && pending_.empty() && answering_ == 0;
        if (!idle || now - std::max(link.last_heard(), last_used_) < limits::bulk_idle) continue;
        Bye bye;
        bye.reason = "idle";
        link.send(bye);
        link.end("idle");
        co_return;
    }
}

asio::awaitable<void> BulkLink::read(Connection& link) {
    for (;;) {
        Frame frame;
        while (link.take_frame(frame)) take(frame);
        co_await link.receive();
    }
}

void BulkLink::take(const Frame& frame) {
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    auto message = decode<ToBulk>(envelope);
    if (!message) return log_debug("the master sent an unknown type on the bulk link");
    if (const auto* refused = std::get_if<Refused>(&*message))
        throw DisconnectionError("the master refused: " +
                                 printable(refused->reason, limits::text_chars));
    if (const auto* bad = std::get_if<BadMessage>(&*message))
        throw DisconnectionError("the master did not understand: " +
                                 printable(bad->reason, limits::text_chars));
    backoff_.reset();  // a link that was good for something; one that is refused is not
    if (auto* question = std::get_if<ReadOutput>(&*message)) {
        if (questions_.size() < limits::node_questions) questions_.push_back(std::move(*question));
        return changed_.notify();
    }
    std::int64_t id = 0;
    std::visit(
        [&id](const auto& m) {
            if constexpr (requires { m.id; }) id = m.id;
        },
        *message);
    const auto found = pending_.find(id);
    if (found == pending_.end()) return;
    found->second->reply = Reply{std::move(*message), std::string(frame.raw)};
    found->second->changed.notify();
    pending_.erase(found);
}

// ----------------------------------------------------------------------------- questions for
// output

asio::awaitable<void> BulkLink::answer_some(Connection& link) {
    auto seen = changed_.count();
    for (;;) {
        while (questions_.empty()) seen = co_await changed_.wait(seen);
        ReadOutput question = std::move(questions_.front());
        questions_.pop_front();
        struct Count {
            int& number;
            ~Count() { --number; }
        };
        const Count count{++answering_};
        co_await answer(link, std::move(question));
        last_used_ = Clock::now();
    }
}

asio::awaitable<void> BulkLink::answer(Connection& link, ReadOutput question) {
    const auto id = question.id;
    std::optional<OutputPiece> piece;
    // Those who wait for output of quiet tasks must not keep the others from getting any.
    const bool crowded = question.wait && answering_ > answerers / 2;
    if (crowded) question.wait = false;
    if (output_) piece = co_await output_(std::move(question));
    const Duration pause = std::chrono::milliseconds(200);
    if (crowded) co_await sleep_for(pause);
    if (piece) {
        piece->answer.id = id;
        link.send(piece->answer, piece->bytes);
        co_return;
    }
    Failed failed;
    failed.id = id;
    failed.code = "not_found";
    failed.reason = "there is no such attempt on this node";
    link.send(failed);
}

}  // namespace rpic

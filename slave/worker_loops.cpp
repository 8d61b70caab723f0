#include "common/code_pages.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "slave/power.hpp"
#include "slave/worker_role.hpp"

/// The acting half of WorkerRole: what takes time. Every loop looks its attempt up again after each
/// wait, since the master may have changed its mind meanwhile.
namespace rpic {

asio::awaitable<void> WorkerRole::run() {
    co_await until_first_failure(
        runner_.run(*this), files_.bulk().run(), tick_loop(), report_loop(), prepare_loop(),
        fetch_loops(limits::fetches_at_once), collect_loops(limits::collections_at_once),
        read_loop(), remove_loop(), rest_loop(), power_loop());
}

asio::awaitable<void> WorkerRole::tick_loop() {
    auto seen = ticks_.count();
    for (;;) {
        const auto next = attempts_.next_tick();
        if (!next) {
            tick_loop_waits_ = true;
            seen = co_await ticks_.wait(seen);
            tick_loop_waits_ = false;
            continue;
        }
        // What becomes due within one step shares a message.
        const auto left = std::max<Duration>(*next - Clock::now(), limits::attempts_tick);
        co_await sleep_for(left);
        Effects effects;
        attempts_.on_tick(Clock::now(), effects);
        apply(std::move(effects));
    }
}

asio::awaitable<void> WorkerRole::report_loop() {
    auto seen = reports_.count();
    for (;;) {
        // Woken in a later turn of the loop, it sends what several ends of this turn have left.
        seen = co_await reports_.wait(seen);
        send_reports();
        while (!reports_due_.empty()) {
            // The master does not read as fast as tasks end.
            co_await sleep_for(limits::attempts_tick);
            send_reports();
        }
    }
}

asio::awaitable<void> WorkerRole::prepare_loop() {
    for (;;) {
        auto keys = co_await to_prepare_.pop_some(limits::work_folders_at_once);
        co_await prepare(std::move(keys));
    }
}

asio::awaitable<void> WorkerRole::fetch_loop() {
    for (;;) {
        const auto key = co_await to_fetch_.pop();
        co_await fetch(key);
    }
}

asio::awaitable<void> WorkerRole::fetch_loops(int count) {
    if (count == 1)
        co_await fetch_loop();
    else
        co_await until_first_failure(fetch_loop(), fetch_loops(count - 1));
}

/// Attempts that need nothing but their folder.
asio::awaitable<void> WorkerRole::prepare(std::vector<AttemptKey> keys) {
    // Some were given back before anything was made.
    std::erase_if(keys, [this](const auto& key) { return attempts_.find(key) == nullptr; });
    if (keys.empty()) co_return;
    const auto troubles = co_await files_.make_folders(keys);
    Effects effects;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (troubles[i].empty())
            attempts_.on_prepared(Clock::now(), keys[i], effects);
        else
            not_prepared(keys[i], "node", troubles[i], effects);
    }
    apply(std::move(effects));
}

/// Whether an attempt still waits for its files.
bool WorkerRole::awaits_files(const AttemptKey& key) const {
    const auto* attempt = attempts_.find(key);
    return attempt != nullptr && attempt->not_launched();
}

/// An attempt whose folder gets files.
asio::awaitable<void> WorkerRole::fetch(AttemptKey key) {
    const auto* attempt = attempts_.find(key);
    if (attempt == nullptr) co_return;
    const auto job = attempt->job;
    std::string outcome;
    std::string reason;
    std::vector<AttemptKey> keys(1, key);
    const auto troubles = co_await files_.make_folders(std::move(keys));
    if (!troubles[0].empty()) {
        outcome = "node";
        reason = troubles[0];
    } else {
        Wanted wanted = [this, key] { return awaits_files(key); };
        try {
            co_await files_.place_inputs(key, job, std::move(wanted));
        } catch (const FileError& error) {
            outcome = outcome_of(error);
            reason = error.what();
        }
    }
    Effects effects;
    if (outcome.empty())
        attempts_.on_prepared(Clock::now(), key, effects);
    else
        not_prepared(key, outcome, reason, effects);
    apply(std::move(effects));
}

void WorkerRole::not_prepared(const AttemptKey& key, const std::string& outcome,
                              const std::string& reason, Effects& effects) {
    // If it was taken back meanwhile that is no trouble.
    if (awaits_files(key))
        log_rarely(Severity::warning, "task_not_prepared", outcome,
                   "cannot prepare " + folder_name(key) + ": " + reason);
    attempts_.on_not_prepared(Clock::now(), key, outcome, reason, effects);
}

asio::awaitable<void> WorkerRole::collect_loop() {
    for (;;) {
        const auto key = co_await to_collect_.pop();
        co_await collect(key);
    }
}

asio::awaitable<void> WorkerRole::collect_loops(int count) {
    if (count == 1)
        co_await collect_loop();
    else
        co_await until_first_failure(collect_loop(), collect_loops(count - 1));
}

/// Whether the output and files of an attempt are still to be sent.
bool WorkerRole::is_collecting(const AttemptKey& key) const {
    const auto* attempt = attempts_.find(key);
    return attempt != nullptr && attempt->phase == NodeAttempts::Phase::collecting;
}

asio::awaitable<void> WorkerRole::collect(AttemptKey key) {
    NodeAttempts::Collected collected;
    if (is_collecting(key)) {
        const auto* attempt = attempts_.find(key);
        const auto job = attempt->job;
        const auto output_file = attempt->output_file;
        const auto output_bytes = attempt->report.output_bytes;
        const bool brings_files = attempt->brings_files();
        const Wanted wanted = [this, key] { return is_collecting(key); };
        std::string output_trouble;
        std::string files_trouble;
        if (!output_file.empty())
            collected.output_blob = co_await files_.bring_output(key, output_file, output_bytes,
                                                                 wanted, output_trouble);
        if (brings_files)
            collected.files = co_await files_.bring_files(key, job, wanted, files_trouble);
        collected.trouble = output_trouble;
        if (!output_trouble.empty() && !files_trouble.empty()) collected.trouble += "; ";
        collected.trouble += files_trouble;
    }
    co_await finish_collecting(key, std::move(collected));
}

/// Those that only need their inline output from the runner do not wait for transfers, which take
/// as long as the master has no room.
asio::awaitable<void> WorkerRole::read_loop() {
    for (;;) {
        const auto key = co_await to_read_.pop();
        NodeAttempts::Collected nothing;
        co_await finish_collecting(key, std::move(nothing));
    }
}

asio::awaitable<void> WorkerRole::finish_collecting(AttemptKey key,
                                                    NodeAttempts::Collected collected) {
    const auto* attempt = attempts_.find(key);
    if (attempt != nullptr && attempt->has_inline_output()) {
        collected.output_here = outputs_.contains(key);
        if (!collected.output_here) collected.output_here = co_await read_output(key);
    }
    Effects effects;
    attempts_.on_collected(key, collected, effects);
    apply(std::move(effects));
    let_output_go_unless_wanted(key);
}

/// Reads an inline output back from the runner into memory; false if the runner has lost it.
asio::awaitable<bool> WorkerRole::read_output(AttemptKey key) {
    auto seen = reports_sent_.count();
    while (reports_bytes_ > limits::held_output_bytes) seen = co_await reports_sent_.wait(seen);
    std::string records;
    for (;;) {
        const auto offset = static_cast<std::int64_t>(records.size());
        const auto piece = co_await runner_output_.read(key, offset, false);
        records += piece.records;
        if (!piece.known || records.size() > limits::chunk_bytes) co_return false;
        if (piece.complete || piece.records.empty()) break;
    }
    outputs_[key] = std::move(records);
    co_return true;
}

asio::awaitable<void> WorkerRole::remove_loop() {
    auto seen = to_remove_.filled.count();
    for (;;) {
        while (to_remove_.items.empty()) seen = co_await to_remove_.filled.wait(seen);
        // What other tasks leave meanwhile goes with it.
        co_await sleep_for(limits::attempts_tick);
        auto names = co_await to_remove_.pop_some(limits::work_folders_at_once);
        const bool more_to_come = attempts_.size() > 0;
        co_await files_.remove(std::move(names), more_to_come);
    }
}

/// What only a busy node needs is given back when it has had nothing to do for a while.
asio::awaitable<void> WorkerRole::rest_loop() {
    auto seen = ordered_.count();
    for (;;) {
        seen = co_await ordered_.wait(seen);
        do {
            co_await sleep_for(limits::work_folders_kept_time);
        } while (attempts_.size() > 0);
        if (files_.keeps_folders()) co_await files_.drop_kept();
        release_code_pages();
    }
}

asio::awaitable<void> WorkerRole::power_loop() {
    for (;;) {
        const auto command = co_await power_commands_.pop();
        co_await run_power_command(command);
    }
}

asio::awaitable<std::optional<OutputPiece>> WorkerRole::answer(ReadOutput question) {
    AttemptKey key;
    key.job = question.job;
    key.task = question.task;
    key.attempt = question.attempt;
    const auto* attempt =
        question.attempt == 0 ? attempts_.find_newest(key.job, key.task) : attempts_.find(key);
    if (attempt == nullptr) co_return std::nullopt;
    OutputPiece piece;
    key = attempt->key;
    piece.answer.id = question.id;
    piece.answer.attempt = key.attempt;
    piece.answer.offset = question.offset;
    co_await until_first_failure(find_output(key, question, piece), sleep_for(limits::output_wait));
    co_return piece;
}

asio::awaitable<void> WorkerRole::find_output(AttemptKey key, ReadOutput question,
                                              OutputPiece& piece) {
    auto seen = changed_.count();
    for (;;) {
        const auto* attempt = attempts_.find(key);
        if (attempt == nullptr) co_return;  // acknowledged: the master has all of it
        const bool ended = attempt->phase == NodeAttempts::Phase::ended;
        if (attempt->by_runner && (ended || attempt->phase >= NodeAttempts::Phase::running)) break;
        piece.answer.complete = ended;
        if (ended || !question.wait) co_return;
        seen = co_await changed_.wait(seen);
    }
    const auto found = co_await runner_output_.read(key, question.offset, question.wait);
    piece.answer.complete = found.complete || !found.known;
    piece.bytes = found.records;
}

}  // namespace rpic

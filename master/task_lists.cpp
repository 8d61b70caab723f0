#include <algorithm>
#include <map>
#include <utility>

#include "common/selector.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "master/job_desk.hpp"

/// What clients want to know about tasks and their output.
namespace rpic {

namespace {

TaskView view_of(const Job& job, const TaskResult& result) {
    TaskView view;
    view.index = job.index(result.position);
    view.state = result.state;
    view.node = result.node;
    view.attempt = result.attempt;
    view.exit_code = result.exit_code;
    view.signal = result.signal;
    if (!result.reason.empty()) view.reason = result.reason;
    if (result.started_at_ms > 0) {
        view.started_at = rfc3339(result.started_at_ms / 1000);
        view.duration_seconds = result.duration_seconds;
        view.max_rss_bytes = result.max_rss_bytes;
        view.cpu_seconds = result.cpu_seconds;
    }
    view.output_bytes = result.output_bytes;
    view.files = result.files;
    return view;
}

NumberSelector tasks_chosen(const std::string& text) {
    try {
        return NumberSelector::parse(text);
    } catch (const SyntaxError& error) {
        throw RequestError{"bad_request", error.what()};
    }
}

constexpr std::size_t page_tasks = 1000;

/// A list of tasks on its way out, in frames that each keep to the limit.
class TaskPages {
  public:
    explicit TaskPages(std::int64_t id) { page_.id = id; }

    void add(TaskView view) {
        const auto size = json::serialize(to_json(view)).size();
        if (bytes_ + size > limits::page_bytes) flush(true);
        bytes_ += size;
        page_.tasks.push_back(std::move(view));
    }
    void finish(std::optional<std::int64_t> next) {
        page_.next = next;
        flush(false);
    }
    std::vector<std::string> take() { return std::exchange(frames_, {}); }

  private:
    void flush(bool more) {
        page_.more = more;
        frames_.push_back(encode(page_));
        page_.tasks.clear();
        bytes_ = 0;
    }

    TaskList page_;
    std::size_t bytes_ = 0;
    std::vector<std::string> frames_;
};

/// A task that has ended and has no result on disk: one that was cancelled before it ran never gets
/// one, each other one gets it in a moment.
void replace_unrecorded(const Job& job, const std::map<Position, TaskView>& before,
                        TaskView& view) {
    const auto position = job.position(view.index);
    const auto known = position ? before.find(*position) : before.end();
    if (known != before.end())
        view = known->second;
    else
        view.state = job.status.cancelled || job.status.rest_cancelled ? "cancelled" : "queued";
}

/// Whether what the store has is still the result of its task: not if a retry took it up again.
template <class Stored>
bool still_stands(const Job& job, const Stored& stored) {
    return stands(job.status, task_state(stored.state).value_or(TaskState::failed), stored.round);
}

asio::awaitable<void> change_of(Wakeup& news, std::uint64_t seen) {
    co_await news.wait(seen);
}

}  // namespace

/// As fast as the client reads.
asio::awaitable<void> JobDesk::send(std::vector<std::string> frames) {
    const Duration pause = std::chrono::milliseconds(5);
    for (const auto& frame : frames) {
        while (!connection_.closed() && connection_.outbox_bytes() > limits::outbox_soft_bytes)
            co_await sleep_for(pause);
        connection_.send_bytes(frame);
    }
}

/// The tasks of the job that are with nodes, from a position on.
std::map<Position, TaskView> JobDesk::running_tasks(JobId id, Position after) const {
    std::map<Position, TaskView> views;
    const auto* job = context_.jobs.find(id);
    if (job == nullptr) return views;
    for (const auto& [node, worker] : context_.jobs.workers())
        for (const auto& [attempt, held] : worker.attempts) {
            const auto& [of_job, position, number] = attempt;
            if (of_job == id && position > after && job->active.contains(position))
                views.emplace(position, context_.jobs.task_view(*job, position));
        }
    return views;
}

asio::awaitable<void> JobDesk::serve(GetJob request) {
    const auto& named = job_named(request.job, false);
    const auto id = named.status.id;
    JobDetail detail;
    detail.id = request.id;
    detail.job = context_.jobs.view(named);
    detail.job.command.clear();  // twice, a long one would not fit into a frame
    detail.spec = *named.spec;
    co_await context_.turns.settled();
    connection_.send(detail);
    const auto chosen = tasks_chosen(request.tasks);
    if (!request.state.empty() && !task_state(request.state))
        throw RequestError{"bad_request", "a task is queued, running, done, failed or cancelled"};
    auto left = std::clamp<std::int64_t>(request.limit, 0, 10'000);
    TaskPages pages(request.id);
    std::optional<std::int64_t> next;
    std::int64_t last_index = request.after;
    Position after = -1;
    for (bool over = false; !over;) {
        // What has ended by now is in the store after the turn; what ends meanwhile is shown as it
        // is now, since a result that is not on disk may still be lost.
        const auto before = running_tasks(id, after);
        co_await context_.turns.settled();
        auto results = co_await context_.store.results(id, after, page_tasks);
        // The job may have moved on, or away, while the store was asked.
        const auto* job = context_.jobs.find(id);
        if (job == nullptr) break;
        over = results.size() < page_tasks;
        const Position end = over ? job->status.size : results.back().position + 1;
        std::size_t place = 0;
        for (auto position = after + 1; position < end && !next; ++position) {
            while (place < results.size() && results[place].position < position) ++place;
            const bool has = place < results.size() && results[place].position == position &&
                             still_stands(*job, results[place]);
            const auto index = job->index(position);
            if (index <= request.after || !chosen.contains(index)) continue;
            const bool open = !job->ended() && (job->active.contains(position) ||
                                                job->state(position) == TaskState::queued);
            auto view = has && !open ? view_of(*job, results[place])
                                     : context_.jobs.task_view(*job, position);
            if (!has && !open) replace_unrecorded(*job, before, view);
            if (!request.state.empty() && view.state != request.state) continue;
            if (left-- == 0)
                next = last_index;
            else
                pages.add(std::move(view));
            last_index = index;
        }
        after = end - 1;
        over = over || next.has_value();
        auto frames = pages.take();
        co_await send(std::move(frames));
    }
    pages.finish(next);
    auto frames = pages.take();
    co_await send(std::move(frames));
}

asio::awaitable<std::vector<TaskState>> JobDesk::stored_states(JobId id) {
    std::vector<TaskState> states;
    Position after = -1;
    for (;;) {
        const auto results = co_await context_.store.results(id, after, page_tasks);
        const auto* job = context_.jobs.find(id);
        if (job == nullptr) co_return states;
        // No others of an ended job are without a result that stands.
        const auto missing = TaskState::cancelled;
        for (const auto& result : results) {
            states.resize(static_cast<std::size_t>(result.position), missing);
            const auto state = task_state(result.state).value_or(TaskState::failed);
            states.push_back(still_stands(*job, result) ? state : missing);
        }
        if (results.size() < page_tasks) co_return states;
        after = results.back().position;
    }
}

// ----------------------------------------------------------------------------------------- output

/// The output of a task that has a result.
asio::awaitable<OutputPiece> JobDesk::stored_output(const ReadOutput& request, Position position) {
    auto offset = request.offset;
    const auto size = limits::chunk_bytes;
    const auto job = request.job;
    auto found = co_await context_.store.output(job, position, offset, size);
    if (request.attempt != 0 && found.attempt != request.attempt && offset > 0) {
        offset = 0;
        found = co_await context_.store.output(job, position, offset, size);
    }
    // Taken up again, and cancelled before it ran: it has printed nothing.
    const auto* now = context_.jobs.find(job);
    if (now != nullptr && found.known && !still_stands(*now, found)) found = {};
    OutputPiece piece;
    piece.answer.attempt = found.attempt;
    piece.answer.offset = offset;
    piece.bytes = std::move(found.bytes);
    if (!found.blob.empty() && offset < found.size) {
        auto read = [&store = context_.blobs, blob = found.blob, offset] {
            return store.get_chunk(blob, offset);
        };
        auto chunk = co_await context_.files.run(std::move(read));
        piece.bytes = std::move(chunk.bytes);
    }
    const auto end = offset + static_cast<std::int64_t>(piece.bytes.size());
    piece.answer.complete = piece.answer.final = end >= found.size || piece.bytes.empty();
    co_return piece;
}

/// What there is now; an answer without bytes that is neither complete nor final means: ask again.
asio::awaitable<OutputPiece> JobDesk::output_now(const ReadOutput& request) {
    const auto* job = context_.jobs.find(request.job);
    const auto position = job == nullptr ? std::nullopt : job->position(request.task);
    if (!position)
        throw RequestError{"not_found", "job " + std::to_string(request.job) + " has no task " +
                                            std::to_string(request.task)};
    const auto found = job->active.find(*position);
    if (found == job->active.end()) {
        OutputPiece none;
        none.answer.offset = request.offset;
        if (!job->ended() && job->state(*position) == TaskState::queued) co_return none;
        // One that has ended just now is in the store only after the turn.
        co_await context_.turns.settled();
        auto piece = co_await stored_output(request, *position);
        co_return piece;
    }
    OutputPiece none;
    none.answer.offset = request.offset;
    const Attempt* running = nullptr;
    for (const auto& attempt : found->second.live)
        if (!attempt.detached && !attempt.ahead) running = &attempt;
    if (running == nullptr) co_return none;
    ReadOutput question = request;
    const std::string node = running->node;
    question.attempt = running->number;
    if (request.attempt != 0 && request.attempt != running->number) question.offset = 0;
    auto answer = co_await context_.bulk.read_output(context_, node, question);
    if (!answer) co_return none;
    answer->answer.attempt = question.attempt;
    answer->answer.final = false;
    co_return std::move(*answer);
}

asio::awaitable<void> JobDesk::serve(ReadOutput request) {
    if (request.offset < 0) throw RequestError{"bad_request", "an offset is not below 0"};
    const auto deadline = Clock::now() + limits::output_wait;
    auto seen = context_.job_news.count();
    for (;;) {
        auto piece = co_await output_now(request);
        // The end of an attempt is no answer to who waits: the result follows in a moment.
        const bool something = !piece.bytes.empty() || piece.answer.final;
        if (something || !request.wait || Clock::now() >= deadline) {
            piece.answer.id = request.id;
            connection_.send(piece.answer, piece.bytes);
            co_return;
        }
        if (context_.job_news.count() == seen) {
            const Duration pause = std::chrono::milliseconds(100);
            co_await until_first_failure(change_of(context_.job_news, seen), sleep_for(pause));
        }
        seen = context_.job_news.count();
    }
}

}  // namespace rpic

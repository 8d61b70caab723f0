#include "master/job_desk.hpp"

#include <algorithm>
#include <utility>

#include "common/log.hpp"
#include "common/selector.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

NumberSelector parse_selector(const std::string& text) {
    try {
        return NumberSelector::parse(text);
    } catch (const SyntaxError& error) {
        throw RequestError{"bad_request", error.what()};
    }
}

/// What the answer tells of the jobs that are about to be changed.
Done about(const std::vector<Job*>& jobs) {
    Done answer;
    if (jobs.size() == 1) answer.job = std::to_string(jobs.front()->status.id);
    answer.had_ended =
        std::all_of(jobs.begin(), jobs.end(), [](auto* job) { return job->ended(); });
    return answer;
}

}  // namespace

void JobDesk::check_owner(const Job& job) const {
    if (!admin_ && job.status.submitter != submitter_)
        throw RequestError{"forbidden", "job " + std::to_string(job.status.id) + " belongs to " +
                                            job.status.submitter +
                                            ": only they or an admin may change it"};
}

std::vector<Job*> JobDesk::jobs_chosen(const std::string& selector, bool to_change) {
    const auto chosen = parse_selector(selector);
    std::vector<Job*> jobs;
    const auto& all = context_.jobs.all();
    if (chosen.last()) {
        for (auto entry = all.rbegin(); entry != all.rend() && jobs.empty(); ++entry)
            if (admin_ || !to_change || entry->second->status.submitter == submitter_)
                jobs.push_back(entry->second.get());
    }
    for (const auto& [id, job] : all) {
        if (!chosen.contains(id)) continue;
        // "all" means all of those that one may change.
        if (to_change && chosen.all() && !admin_ && job->status.submitter != submitter_) continue;
        jobs.push_back(job.get());
    }
    if (to_change)
        for (const auto* job : jobs) check_owner(*job);
    for (const auto& range : chosen.ranges())
        if (range.first == range.last && context_.jobs.find(range.first) == nullptr)
            throw RequestError{"not_found", "there is no job " + std::to_string(range.first)};
    if (jobs.empty() && !chosen.all())
        throw RequestError{"not_found",
                           chosen.last() ? "there are no jobs yet" : "there is no job " + selector};
    return jobs;
}

Job& JobDesk::job_named(const std::string& name, bool to_change) {
    const auto jobs = jobs_chosen(name, to_change);
    if (jobs.size() != 1)
        throw RequestError{"bad_request", "this is about one job: give one number, or \"last\""};
    return *jobs.front();
}

asio::awaitable<void> JobDesk::done(std::int64_t id, Effects effects, Done answer) {
    context_.turns.add(std::move(effects));
    co_await context_.turns.settled();
    answer.id = id;
    connection_.send(answer);
}

/// Everything that the job names must be here before it is taken.
asio::awaitable<void> JobDesk::check_blobs(const JobSpec& spec) {
    std::vector<std::string> blobs = spec.in;
    for (const auto& [arch, blob] : spec.in_arch) blobs.push_back(blob);
    for (const auto* blob : {&spec.items, &spec.stdin_blob})
        if (!blob->empty()) blobs.push_back(*blob);
    if (blobs.empty()) co_return;
    auto look = [&store = context_.blobs, blobs] { return store.missing(blobs); };
    const auto missing = co_await context_.files.run(std::move(look));
    if (!missing.empty())
        throw RequestError{"bad_request", "the master has not got the file " +
                                              printable(missing.front(), 64) +
                                              ": send it before the job that needs it"};
}

asio::awaitable<void> JobDesk::serve(Submit request) {
    const auto spec = std::make_shared<const JobSpec>(std::move(request.spec));
    if (json::serialize(to_json(*spec)).size() > limits::job_spec_bytes)
        throw RequestError{"bad_request", "command, environment and options are larger than " +
                                              format_size(limits::job_spec_bytes) +
                                              " in all: put what is long into a file and send it "
                                              "along with --in"};
    std::int64_t items = 0;
    if (context_.jobs.submitted_before(submitter_, spec->idempotency_key) == nullptr) {
        const auto free = co_await context_.store.free_bytes();
        if (free < limits::free_disk_bytes)
            throw RequestError{"full", "the disk of the master has less than " +
                                           format_size(limits::free_disk_bytes) +
                                           " free: no new jobs until there is room"};
        co_await check_blobs(*spec);
        if (!spec->items.empty()) {
            const auto blob = spec->items;
            const auto counted = co_await context_.store.count_items(blob);
            if (!counted.failure.empty())
                throw RequestError{"bad_request", "the list of items: " + counted.failure};
            items = counted.count;
        }
    }
    Effects effects;
    const auto outcome = context_.jobs.submit(context_.moment(), spec, submitter_, items, effects);
    context_.turns.add(std::move(effects));
    if (const auto* refusal = std::get_if<Jobs::Refusal>(&outcome))
        throw RequestError{refusal->code, refusal->reason};
    const auto accepted = std::get<Jobs::Accepted>(outcome);
    co_await context_.turns.settled();
    Submitted answer;
    answer.id = request.id;
    answer.warning = accepted.warning;
    if (const auto* job = context_.jobs.find(accepted.job)) answer.job = context_.jobs.view(*job);
    connection_.send(answer);
}

asio::awaitable<void> JobDesk::serve(ListJobs request) {
    if (request.limit > 0) {
        co_await list_newest(std::move(request));
        co_return;
    }
    std::vector<JobId> ids;
    for (const auto* job : jobs_chosen(request.jobs, false)) ids.push_back(job->status.id);
    // A hundred thousand jobs are neither looked at nor kept as text in one go.
    constexpr std::size_t jobs_at_once = 500;
    std::size_t next = 0;
    do {
        std::vector<JobView> views;
        for (; next < ids.size() && views.size() < jobs_at_once; ++next) {
            const auto* job = context_.jobs.find(ids[next]);
            if (job != nullptr && (request.state.empty() || job->state_text() == request.state))
                views.push_back(context_.jobs.view(*job));
        }
        // Nobody is told of an end that a power cut could still undo.
        co_await context_.turns.settled();
        auto frames = paged(request.id, views, &JobList::jobs, next < ids.size());
        co_await send(std::move(frames));
    } while (next < ids.size());
}

/// A page of all jobs, newest first.
asio::awaitable<void> JobDesk::list_newest(ListJobs request) {
    const auto& all = context_.jobs.all();
    auto entry = request.before > 0 ? all.lower_bound(request.before) : all.end();
    const auto limit =
        static_cast<std::size_t>(std::min<std::int64_t>(request.limit, limits::web_page + 1));
    std::vector<JobView> views;
    while (entry != all.begin() && views.size() < limit) {
        --entry;
        if (request.state.empty() || entry->second->state_text() == request.state)
            views.push_back(context_.jobs.view(*entry->second));
    }
    co_await context_.turns.settled();
    auto frames = paged(request.id, views, &JobList::jobs);
    co_await send(std::move(frames));
}

asio::awaitable<void> JobDesk::serve(CancelJobs request) {
    Effects effects;
    if (request.tasks.empty()) {
        const auto jobs = jobs_chosen(request.jobs, true);
        auto answer = about(jobs);
        for (auto* job : jobs)
            context_.jobs.cancel(context_.moment(), *job, "cancelled by " + submitter_, effects);
        co_await done(request.id, std::move(effects), std::move(answer));
        co_return;
    }
    auto& named = job_named(request.jobs, true);
    const auto id = named.status.id;
    auto answer = about({&named});
    const auto chosen = parse_selector(request.tasks);
    constexpr std::size_t effects_at_once = 10'000;
    for (Position position = 0;; ++position) {
        auto* job = context_.jobs.find(id);
        if (job == nullptr || job->ended() || position >= job->status.size) break;
        if (!chosen.contains(job->index(position))) continue;
        context_.jobs.cancel_task(context_.moment(), *job, position, effects);
        if (effects.size() < effects_at_once) continue;
        context_.turns.add(std::exchange(effects, {}));
        co_await context_.turns.settled();
    }
    co_await done(request.id, std::move(effects), std::move(answer));
}

asio::awaitable<void> JobDesk::serve(RetryJob request) {
    const auto id = job_named(request.job, true).status.id;
    std::vector<TaskState> states;
    auto* job = context_.jobs.find(id);
    for (std::uint64_t seen = 0; job != nullptr && job->ended() && job->changed != seen;) {
        seen = job->changed;
        // The last results may still be on their way to the disk, and the job may be retried by
        // another client while they are read.
        co_await context_.turns.settled();
        states = co_await stored_states(id);
        job = context_.jobs.find(id);
    }
    if (job == nullptr)
        throw RequestError{"not_found", "job " + std::to_string(id) + " was forgotten meanwhile"};
    if (job->status.cancelled && !job->ended())
        throw RequestError{"conflict", "job " + std::to_string(id) +
                                           " is still being cancelled: retry it once it has ended"};
    Effects effects;
    const auto count =
        context_.jobs.retry(context_.moment(), *job, std::move(states), request.cancelled, effects);
    if (count == 0)
        throw RequestError{"conflict", "no task of job " + std::to_string(id) + " has failed"};
    Done answer;
    answer.job = std::to_string(id);
    co_await done(request.id, std::move(effects), std::move(answer));
}

asio::awaitable<void> JobDesk::serve(HoldJobs request) {
    Effects effects;
    const auto jobs = jobs_chosen(request.jobs, true);
    auto answer = about(jobs);
    for (auto* job : jobs) context_.jobs.hold(context_.moment(), *job, !request.release, effects);
    co_await done(request.id, std::move(effects), std::move(answer));
}

asio::awaitable<void> JobDesk::serve(SetPriority request) {
    if (request.priority < -limits::job_priority || request.priority > limits::job_priority)
        throw RequestError{"bad_request", "a priority is between -" +
                                              std::to_string(limits::job_priority) + " and " +
                                              std::to_string(limits::job_priority)};
    Effects effects;
    const auto jobs = jobs_chosen(request.job, true);
    auto answer = about(jobs);
    for (auto* job : jobs) context_.jobs.set_priority(*job, request.priority, effects);
    co_await done(request.id, std::move(effects), std::move(answer));
}

asio::awaitable<void> JobDesk::serve(ExplainJob request) {
    auto answer = context_.jobs.explain(context_.moment(), job_named(request.job, false));
    answer.id = request.id;
    // A large cluster does not fit into one frame; those that are nearest matter.
    std::stable_sort(answer.nodes.begin(), answer.nodes.end(), [](const auto& a, const auto& b) {
        return a.fits + a.could > b.fits + b.could;
    });
    std::size_t shown = 0;
    for (std::size_t bytes = 0; shown < std::min(answer.nodes.size(), limits::explained_nodes);
         ++shown) {
        bytes += json::serialize(to_json(answer.nodes[shown])).size();
        if (bytes > limits::page_bytes) break;
    }
    answer.nodes.resize(shown);
    connection_.send(answer);
    co_return;
}

/// Sends what changed of the chosen jobs until all have ended.
asio::awaitable<void> JobDesk::serve(WatchJobs request) {
    std::vector<JobId> ids;
    for (const auto* job : jobs_chosen(request.jobs, false)) ids.push_back(job->status.id);
    const Duration pause = std::chrono::milliseconds(250);
    std::uint64_t told = 0;
    Instant told_at{};
    auto seen = context_.job_changes.count();
    for (;;) {
        std::vector<JobView> views;
        const auto version = context_.jobs.version();
        bool ended = true;
        bool news = told_at == Instant{};
        for (const auto id : ids) {
            const auto* job = context_.jobs.find(id);
            if (job == nullptr) continue;
            ended = ended && job->ended();
            news = news || (job->ended() && job->changed > told);
            if (job->changed > told) views.push_back(context_.jobs.view(*job));
        }
        if (!views.empty() && (news || Clock::now() - told_at >= pause)) {
            co_await context_.turns.settled();
            auto frames = paged(request.id, views, &JobList::jobs);
            co_await send(std::move(frames));
            told = version;
            told_at = Clock::now();
        }
        if (ended) break;
        // A change within the pause is told with the end of it, and a long list is not looked
        // through in each turn.
        const bool untold = !views.empty() && told < version;
        if (untold || ids.size() > 100) co_await sleep_for(pause / 5);
        if (!untold) seen = co_await context_.job_changes.wait(seen);
    }
    Done answer;
    answer.id = request.id;
    connection_.send(answer);
}

asio::awaitable<void> JobDesk::serve(WatchEvents request) {
    auto since = request.since < 0 ? context_.events.last() : request.since;
    // Ids begin at the master's time of start; if its clock was set back, one from before means
    // all.
    if (since > context_.events.last()) since = 0;
    auto seen = context_.events.changed.count();
    for (;;) {
        const auto events = context_.events.after(since, 200);
        if (!events.empty() || !request.follow) {
            auto frames = paged(request.id, events, &EventList::events);
            co_await send(std::move(frames));
        }
        // Ids up to the last one that no event has any more are over as well.
        since = events.empty() ? context_.events.last() : events.back().id;
        if (since < context_.events.last()) continue;
        if (!request.follow) break;
        seen = co_await context_.events.changed.wait(seen);
    }
    Done answer;
    answer.id = request.id;
    connection_.send(answer);
}

asio::awaitable<void> JobDesk::serve(ChangeNode request) {
    const auto* node = context_.cluster.find(request.node);
    if (node == nullptr)
        throw RequestError{"not_found",
                           "there is no node named " + printable(request.node, limits::name_chars)};
    if (!request.power.empty() && request.power != "reboot" && request.power != "poweroff")
        throw RequestError{"bad_request", "a node can be told to reboot or poweroff"};
    // No --where could name another key. One that is there already may be removed.
    for (const auto& [key, value] : request.labels)
        if (!value.empty() && node_name(key) != key)
            throw RequestError{"bad_request",
                               "the key of a label has letters, digits, '.', '_' and '-': \"" +
                                   printable(key, limits::name_chars) + "\" has others"};
    if (!request.power.empty() && node->record.role != "worker")
        throw RequestError{"bad_request", "only workers can be told to " + request.power + ": " +
                                              node->record.name + " has the role " +
                                              node->record.role};
    const std::string id = node->record.id;
    Effects effects;
    if (!request.labels.empty() && !context_.cluster.set_labels(id, request.labels, effects))
        throw RequestError{"full", "a label has at most " + std::to_string(limits::text_chars) +
                                       " bytes, all printable, and those of a node have " +
                                       std::to_string(limits::labels_bytes) + " bytes together"};
    const bool drain = request.drain.value_or(!request.power.empty());
    if (request.drain || !request.power.empty()) {
        std::optional<Instant> deadline;
        Duration time{};
        if (drain && request.deadline_seconds > 0 && request.deadline_seconds < 1e9) {
            time = Duration(static_cast<std::int64_t>(request.deadline_seconds * 1e9));
            deadline = Clock::now() + time;
        }
        context_.cluster.set_draining(id, drain, effects, time);
        context_.jobs.on_drain(*node, deadline, effects);
    }
    if (request.clear_quarantine || (request.drain && !drain))
        context_.cluster.quarantine(id, "", effects);
    if (!request.power.empty()) context_.jobs.power(*node, request.power, effects);
    Done answer;
    co_await done(request.id, std::move(effects), std::move(answer));
}

/// A consistent copy, as a blob that the client fetches; it is removed when the next one is made,
/// or after a while. If the client goes before it is there, the store gives it up; what was done a
/// moment before is found by housekeeping.
asio::awaitable<void> JobDesk::serve(MakeBackup request) {
    if (context_.backup_under_way)
        throw RequestError{"conflict", "another backup is being made: try again later"};
    struct UnderWay {
        explicit UnderWay(bool& flag) : under_way(flag) { under_way = true; }
        ~UnderWay() { under_way = false; }
        bool& under_way;
    };
    const UnderWay guard(context_.backup_under_way);
    co_await context_.drop_backup();
    const auto file = context_.backup_file();
    const auto made = co_await context_.store.backup(file);
    auto take = [&store = context_.backups, file, made] { store.take(file, made.sha256); };
    co_await context_.files.run(std::move(take));
    context_.backup_blob = made.sha256;
    context_.backup_made = Clock::now();
    BackupMade answer;
    answer.id = request.id;
    answer.blob = made.sha256;
    answer.size = made.size;
    connection_.send(answer);
}

}  // namespace rpic

#include <algorithm>
#include <boost/describe/members.hpp>
#include <boost/mp11/algorithm.hpp>
#include <cmath>
#include <type_traits>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "master/core/jobs.hpp"

/// How a job comes in: whether it is taken, and what it waits for.
namespace rpic {

namespace {

struct Dependency {
    JobId job = 0;
    bool any = false;  // however it ends
};

Dependency parse_dependency(std::string_view text) {
    Dependency dependency;
    dependency.any = text.starts_with("any:");
    if (const auto colon = text.find(':'); colon != std::string_view::npos)
        text.remove_prefix(colon + 1);
    dependency.job = std::stoll(std::string(text));
    return dependency;
}

/// Whether both ask for the same: a submit that is sent again, or another one.
bool same_spec(const JobSpec& one, const JobSpec& other) {
    bool same = true;
    using Members = boost::describe::describe_members<JobSpec, boost::describe::mod_public>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
        const auto& a = one.*member.pointer;
        const auto& b = other.*member.pointer;
        if constexpr (std::is_floating_point_v<std::remove_cvref_t<decltype(a)>>)
            // Written as text and read again, a number may have moved by its last digit.
            same = same && std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(a));
        else
            same = same && a == b;
    });
    return same;
}

}  // namespace

std::string Jobs::idempotency_id(std::string_view submitter, std::string_view key) {
    return std::string(submitter) + '\0' + std::string(key);
}

const Job* Jobs::submitted_before(std::string_view submitter, std::string_view key) const {
    if (key.empty()) return nullptr;
    const auto found = idempotency_.find(idempotency_id(submitter, key));
    return found == idempotency_.end() ? nullptr : find(found->second);
}

std::variant<Jobs::Accepted, Jobs::Refusal> Jobs::submit(Moment now,
                                                         std::shared_ptr<const JobSpec> spec,
                                                         std::string_view submitter,
                                                         std::int64_t item_count,
                                                         Effects& effects) {
    if (const auto* job = submitted_before(submitter, spec->idempotency_key)) {
        if (same_spec(*job->spec, *spec)) return Accepted{job->status.id, true, {}};
        return Refusal{"conflict", "the idempotency key \"" +
                                       printable(spec->idempotency_key, limits::log_text_chars) +
                                       "\" belongs to job " + std::to_string(job->status.id) +
                                       ", which asks for something else: a new job needs a key "
                                       "of its own"};
    }
    JobStatus status;
    if (const auto complaint = check_spec(*spec, item_count, status); !complaint.empty())
        return Refusal{"bad_request", complaint};
    for (const auto& text : spec->after)
        if (const auto id = parse_dependency(text).job; find(id) == nullptr)
            return Refusal{"not_found", "it is to run after job " + std::to_string(id) +
                                            ", but there is no such job"};
    if (const auto complaint = check_nodes(*spec); !complaint.empty())
        return Refusal{"not_found", complaint};
    if (jobs_.size() >= limits::jobs)
        return Refusal{"full", "there are " + std::to_string(limits::jobs) +
                                   " jobs: wait until older ones are forgotten"};
    status.id = next_job_++;
    status.submitter = submitter;
    status.priority = spec->priority;
    status.held = spec->held;
    status.submitted_at = now.wall_ms / 1000;
    status.last_attempt = attempts_of_earlier_epochs();
    status.epoch = epoch_;
    Job& job = add(std::move(status), std::move(spec));
    job.waiting_since = now.at;
    const auto id = job.status.id;
    effects.push_back(SaveJob{job.status, job.spec});
    effects.push_back(
        Happened{"job_submitted", "", id, std::nullopt,
                 "job " + std::to_string(id) + " was submitted by " + job.status.submitter});
    Accepted accepted{id, false, {}};
    if (!runnable_somewhere(job))
        accepted.warning = "no node that is known can run this job: rpicluster explain " +
                           std::to_string(id) + " says why";
    link_dependencies(job);
    if (const auto failure = failed_dependency(job); !failure.empty())
        cancel(now, job, failure, effects);
    update_queue(job);
    return accepted;
}

/// A task that is meant for a node that is none would wait for ever.
std::string Jobs::check_nodes(const JobSpec& spec) const {
    for (const auto& id : spec.on_each) {
        const auto node = cluster_.nodes().find(id);
        if (node == cluster_.nodes().end() || node->second->record.role != "worker")
            return "there is no node with the role worker and the id " +
                   printable(id, limits::name_chars);
    }
    return {};
}

/// Whether an attempt of it was ever ordered: what it had to wait for is over then.
bool Jobs::has_begun(const Job& job) const {
    return job.status.highest_attempt > 0;
}

/// Enters the job with those it waits for.
void Jobs::link_dependencies(Job& job) {
    std::set<JobId> roots;
    if (!has_begun(job))
        for (const auto& text : job.spec->after) {
            const auto id = parse_dependency(text).job;
            if (const auto* root = find(id); root != nullptr && !root->ended()) roots.insert(id);
        }
    for (const auto id : roots) dependents_[id].insert(job.status.id);
    job.waits_for = roots.size();
}

/// The job goes on: those that are to run after it and have not begun wait for it again.
void Jobs::hold_dependents(JobId root) {
    for (auto& [id, job] : jobs_) {
        const auto& after = job->spec->after;
        if (job->ended() || job->status.cancelled ||
            std::none_of(after.begin(), after.end(), [&](const std::string& text) {
                return parse_dependency(text).job == root;
            }))
            continue;
        link_dependencies(*job);
        update_queue(*job);
    }
}

/// Why it cannot run, if one of those that had to succeed (or the `only` one) has not; else empty.
std::string Jobs::failed_dependency(const Job& job, JobId only) const {
    for (const auto& text : job.spec->after) {
        const auto dependency = parse_dependency(text);
        if (only != 0 && dependency.job != only) continue;
        const auto* root = find(dependency.job);
        if (root == nullptr || !root->ended() || dependency.any || root->state_text() == "done")
            continue;
        return "job " + std::to_string(dependency.job) + " " +
               (root->state_text() == "failed" ? "failed" : "was cancelled");
    }
    return {};
}

void Jobs::release_dependents(Moment now, const Job& job, Effects& effects) {
    const auto found = dependents_.find(job.status.id);
    if (found == dependents_.end()) return;
    const auto ids = std::move(found->second);
    dependents_.erase(found);
    for (const auto id : ids) {
        Job* dependent = find(id);
        if (dependent == nullptr || dependent->ended() || dependent->waits_for == 0) continue;
        link_dependencies(*dependent);
        dependent->waiting_since = now.at;
        if (const auto failure = failed_dependency(*dependent, job.status.id); !failure.empty())
            cancel(now, *dependent, failure, effects);
        update_queue(*dependent);
    }
}

}  // namespace rpic

#include <algorithm>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "master/core/jobs.hpp"
#include "master/core/rival.hpp"

/// Why a job waits, in words.
namespace rpic {

namespace {

std::string cpus_text(std::int64_t milli) {
    auto text = std::to_string(milli / 1000);
    if (milli % 1000 != 0) text += "." + std::to_string(milli % 1000 / 100);
    return text + (milli == 1000 ? " cpu" : " cpus");
}

/// What is missing on a node, with what runs there or without.
std::string missing(const Worker& worker, const Needs& needs, bool empty) {
    const auto& record = worker.node->record;
    const auto have_milli = empty ? worker.cpus_milli() : worker.free_milli();
    if (needs.cpus_milli > have_milli)
        return "it " + std::string(empty ? "offers " : "has ") +
               cpus_text(std::max<std::int64_t>(have_milli, 0)) + (empty ? "" : " free") +
               ", the task needs " + cpus_text(needs.cpus_milli);
    const auto memory = record.memory_bytes - (empty ? 0 : worker.used.memory_bytes);
    if (needs.memory_bytes > memory)
        return "it " + std::string(empty ? "offers " : "has ") +
               format_size(std::max<std::int64_t>(memory, 0)) + " of memory" +
               (empty ? "" : " free") + ", the task needs " + format_size(needs.memory_bytes);
    for (const auto& [name, count] : needs.resources) {
        const auto offered = record.resources.find(name);
        auto have = offered == record.resources.end() ? 0 : offered->second;
        if (const auto used = worker.used.resources.find(name);
            !empty && used != worker.used.resources.end())
            have -= used->second;
        if (count > have)
            return "it has " + std::to_string(have) + " of " + name + (empty ? "" : " free") +
                   ", the task needs " + std::to_string(count);
    }
    return {};
}

/// How much of what the task needs the node lacks: what it lacks altogether counts two, what it has
/// too little of between one and two. Only to compare nodes with.
double shortfall(const Worker& worker, const Needs& needs, bool empty) {
    const auto& record = worker.node->record;
    double sum = 0;
    const auto add = [&](std::int64_t need, std::int64_t have) {
        if (need <= have) return;
        const auto lacks = static_cast<double>(need - std::max<std::int64_t>(have, 0));
        sum += 1 + lacks / static_cast<double>(need);
    };
    add(needs.cpus_milli, empty ? worker.cpus_milli() : worker.free_milli());
    add(needs.memory_bytes, record.memory_bytes - (empty ? 0 : worker.used.memory_bytes));
    for (const auto& [name, count] : needs.resources) {
        const auto offered = record.resources.find(name);
        const auto used = worker.used.resources.find(name);
        add(count, (offered == record.resources.end() ? 0 : offered->second) -
                       (empty || used == worker.used.resources.end() ? 0 : used->second));
    }
    return sum;
}

std::string rest_text(Duration left) {
    return "the master was restored from a backup: what the one before may have started under "
           "--on-disconnect stop ends first, in " +
           format_duration(to_seconds(std::max(left, Duration{})));
}

std::string why_no_work(const Worker& worker) {
    const auto& node = *worker.node;
    if (node.state == NodeState::lost) return "it is lost";
    if (node.state == NodeState::suspect || worker.session == 0) return "it is not connected";
    if (!node.record.quarantine.empty()) return "it is in quarantine: " + node.record.quarantine;
    if (node.record.draining) return "it is drained";
    if (!node.health.no_work().empty()) return "it is unwell: " + node.health.no_work();
    return {};
}

/// What one node is to a job that waits.
struct Look {
    NodeFit fit;
    int rank = 0;         // 4: it fits, 3: when others end, 2: when it is well, 1: never
    double distance = 0;  // among those of one rank
};

Look look_at(const Job& job, const Worker& worker, std::string_view id, const Needs& needs) {
    Look look;
    auto& fit = look.fit;
    fit.node = worker.node->record.name;
    const auto mismatch = job.where.explain_mismatch(worker.facts());
    const auto& arch = worker.node->record.machine.arch;
    const bool other_arch = !job.spec->in_arch.empty() && !job.spec->in_arch.contains(arch);
    const auto& on_each = job.spec->on_each;
    auto never = mismatch.empty() ? missing(worker, needs, true) : mismatch;
    if (never.empty() && other_arch) never = "the job brings no files for " + arch;
    if (never.empty() && !on_each.empty() &&
        std::find(on_each.begin(), on_each.end(), id) == on_each.end())
        never = "the job is meant for other nodes";
    const auto now_not = never.empty() ? why_no_work(worker) : std::string{};
    const auto busy =
        never.empty() && now_not.empty() ? missing(worker, needs, false) : std::string{};
    fit.could = never.empty();
    fit.fits = fit.could && now_not.empty() && busy.empty();
    fit.reason = !never.empty() ? never : !now_not.empty() ? now_not : busy;
    look.rank = fit.fits ? 4 : !busy.empty() ? 3 : !now_not.empty() ? 2 : 1;
    look.distance = shortfall(worker, needs, !fit.could);
    if (!mismatch.empty()) look.distance += 2;
    if (other_arch) look.distance += 2;
    return look;
}

}  // namespace

/// Whether one of the nodes that were ever seen could run it if nothing else ran there.
bool Jobs::runnable_somewhere(const Job& job) const {
    if (!job.spec->on_each.empty()) return true;
    return std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
        const auto& worker = entry.second;
        const auto& arches = job.spec->in_arch;
        return worker.node != nullptr && worker.fits(needs_of(job), true) &&
               (arches.empty() || arches.contains(worker.node->record.machine.arch)) &&
               job.where.matches(worker.facts());
    });
}

Explanation Jobs::explain(Moment now, const Job& job) const {
    Explanation answer;
    answer.job = std::to_string(job.status.id);
    answer.state = job.state_text();
    const auto needs = needs_of(job);
    int nearest_rank = 0;
    double nearest_distance = 0;
    bool waits_for_faster = true;  // all that fit are passed over
    bool passed_over = true;       // likewise, or for a reason of their own
    std::string passed_over_text;  // the first of these reasons
    const auto rivals = rivals_for(now, job);
    for (const auto& [id, worker] : workers_) {
        if (worker.node == nullptr) continue;
        auto look = look_at(job, worker, id, needs);
        if (look.fit.fits) {
            const bool slow = worth_waiting(job, worker, rivals);
            waits_for_faster = waits_for_faster && slow;
            look.fit.reason = why_passed_over(now, job, worker);
            passed_over = passed_over && (slow || !look.fit.reason.empty());
            if (passed_over_text.empty() && !look.fit.reason.empty())
                passed_over_text = look.fit.node + ": " + look.fit.reason;
        }
        if (look.rank > nearest_rank ||
            (look.rank == nearest_rank && look.distance < nearest_distance)) {
            nearest_rank = look.rank;
            nearest_distance = look.distance;
            answer.nearest = look.fit.node;
            answer.reason = look.fit.reason;
        }
        answer.nodes.push_back(std::move(look.fit));
    }
    const auto near = answer.nearest + ": " + answer.reason;
    if (job.ended()) {
        answer.reason =
            "it has ended" + (job.status.reason.empty() ? std::string{} : ": " + job.status.reason);
        answer.nearest.clear();
    } else if (job.status.held) {
        answer.reason = "it is held: rpicluster release " + answer.job + " lets it run";
    } else if (job.waits_for > 0) {
        answer.reason = "it waits for " + std::to_string(job.waits_for) +
                        (job.waits_for == 1 ? " other job" : " other jobs") + " to end";
    } else if (job.rests_until) {
        answer.reason = rest_text(*job.rests_until - now.at);
    } else if (job.count(TaskState::queued) + job.waiting_on_nodes() == 0) {
        answer.reason = "all of its tasks run or have ended";
    } else if (job.count(TaskState::queued) == 0) {
        answer.reason = "the node that has its next task is busy; nearest is " + near;
    } else if (!job.has_waiting()) {
        answer.reason = "a task that failed waits a moment before it runs again";
    } else if (job.status.task_limit > 0 && job.live_attempts() >= job.status.task_limit) {
        answer.reason =
            "it runs " + std::to_string(job.status.task_limit) + " tasks at once, as it asked for";
    } else if (answer.nodes.empty()) {
        answer.reason = "there are no nodes with the role worker yet";
    } else if (nearest_rank == 4 && waits_for_faster) {
        answer.reason = "one of its last tasks waits for a faster node, which is about to be free";
    } else if (nearest_rank == 4 && passed_over && !passed_over_text.empty()) {
        answer.reason = "it fits, but waits; " + passed_over_text;
    } else if (nearest_rank == 4) {
        const double waited = to_seconds(now.at - job.waiting_since);
        answer.reason =
            "it starts as soon as it is its turn; it has waited for " + format_duration(waited);
    } else if (nearest_rank == 3) {
        answer.reason = "every node that could run it is busy; nearest is " + near;
    } else if (nearest_rank == 2) {
        answer.reason = "the nodes that could run it take no work now; nearest is " + near;
    } else {
        answer.reason = "no node that is known can ever run it; nearest is " + near;
    }
    return answer;
}

}  // namespace rpic

#!/usr/bin/env python3
"""Plants bugs in the copy of a source: mutations.py ROOT SOURCE COPY

Writes to COPY what SOURCE (its path from the ROOT of the project) holds, with each mutation below
behind a test for its bug (test/sim/bugs.hpp). The text that a mutation replaces must be there
exactly once: whoever changes that place changes the mutation with it.
"""

import pathlib
import sys

# source -> [(what is there, what is there instead)]
MUTATIONS = {
    "master/core/submit.cpp": [
        (
            "if (key.empty()) return nullptr;",
            'if (key.empty() || sim::planted("no_idempotency")) return nullptr;',
        ),
        (
            "        dependent->waiting_since = now.at;",
            '        if (sim::planted("dependency_released_twice")) dependent->waits_for = 0;\n'
            "        dependent->waiting_since = now.at;",
        ),
    ],
    "master/core/jobs.cpp": [
        (
            "task.last_attempt = record.last_attempt;",
            'if (!sim::planted("attempt_id_reuse")) task.last_attempt = record.last_attempt;',
        ),
        (
            "if (!job.stops || job.status.epoch >= epoch_) return;",
            'if (sim::planted("leases_forgotten_at_restore")) return;\n'
            "    if (!job.stops || job.status.epoch >= epoch_) return;",
        ),
        (
            "if (!job.spec->notify.empty()) submit_notification(",
            'if (!job.spec->notify.empty() &&\n'
            '        !(job.status.cancelled && sim::planted("notification_forgotten")))\n'
            "        submit_notification(",
        ),
        (
            "if (!task.live.empty()) return save_task(job, position, task, effects);",
            'if (!task.live.empty() && sim::planted("cancel_forgotten")) return;\n'
            "        if (!task.live.empty()) return save_task(job, position, task, effects);",
        ),
    ],
    "master/core/attempts.cpp": [
        (
            "    if (attempt == nullptr) {\n        ++(held",
            '    if (attempt == nullptr && position && succeeded(report) &&\n'
            '        sim::planted("no_fencing")) {\n'
            "        auto late = result_of(report);\n"
            "        late.job = key.job;\n"
            "        late.position = *position;\n"
            '        late.state = "done";\n'
            "        effects.push_back(SaveResult{std::move(late), 0, std::string(output)});\n"
            "    }\n"
            "    if (attempt == nullptr) {\n        ++(held",
        ),
        (
            'stop(job, position, attempt, "superseded", effects);',
            'if (!sim::planted("winner_ends_nobody"))\n'
            '                stop(job, position, attempt, "superseded", effects);',
        ),
        (
            "    ++counters_.attempts_lost;\n    task.avoid = node_id;",
            '    if (sim::planted("loss_uses_retries") && task.live.empty() &&\n'
            "        ++task.failures > job.spec->retries) {\n"
            "        TaskResult lost;\n"
            '        lost.reason = "lost";\n'
            "        return finish(now, job, position, TaskState::failed, lost, 0, {}, effects);\n"
            "    }\n"
            "    ++counters_.attempts_lost;\n    task.avoid = node_id;",
        ),
    ],
    "master/core/cluster.cpp": [
        (
            "    if (record.offered_keys.size() < limits::offered_keys) return;",
            "    if (record.offered_keys.size() < limits::offered_keys &&\n"
            '        !sim::planted("offered_key_forgotten"))\n'
            "        return;",
        ),
    ],
    "master/turn.cpp": [
        (
            "std::get<OrderStart>(sendings_[items_for_[place]]);",
            'std::get<OrderStart>(sendings_[items_for_[sim::planted("item_of_neighbour")\n'
            "                                                     ? items_for_.size() - 1 - place\n"
            "                                                     : place]]);",
        ),
    ],
    "master/core/job.cpp": [
        (
            "lost * 0.96 - to_seconds(limits::stop_kill_time);",
            'sim::planted("stop_too_late") ? lost * 1.1\n'
            '            : sim::planted("kill_time_forgotten") ? lost * 0.96\n'
            "                                  : lost * 0.96 - to_seconds(limits::stop_kill_time);",
        ),
    ],
    "master/core/worker.cpp": [
        (
            "    if (needs.cpus_milli > 0 && needs.cpus_milli > cpus_milli() - taken",
            '    if (!empty && sim::planted("room_ignored")) return true;\n'
            "    if (needs.cpus_milli > 0 && needs.cpus_milli > cpus_milli() - taken",
        ),
        (
            "!node->record.draining &&",
            '(!node->record.draining || sim::planted("drain_ignored")) &&',
        ),
    ],
    "master/core/workers.cpp": [
        (
            "    detach_all(now, found->second, node, effects);\n    workers_.erase(found);",
            '    if (!sim::planted("removal_keeps_attempts"))\n'
            "        detach_all(now, found->second, node, effects);\n"
            "    workers_.erase(found);",
        ),
        (
            "        if (job->stops) {\n            // The node may",
            '        if (job->stops && !sim::planted("lease_not_awaited")) {\n'
            "            // The node may",
        ),
        (
            'take_over(worker, told, present, effects) ? "adopt"',
            "(take_over(worker, told, present, effects) ||\n"
            '                           (sim::planted("adopt_anything") && told.state != "ended") ||\n'
            '                           sim::planted("no_fencing"))\n'
            '                              ? "adopt"',
        ),
        (
            "if (!present.contains(ref)) lose_attempt(",
            'if (!present.contains(ref) && !sim::planted("loss_is_forgotten"))\n'
            "            lose_attempt(",
        ),
        (
            "    for (const auto& ref : refs) {\n        vacate(worker, ref);",
            "    for (const auto& ref : refs) {\n"
            '        if (sim::planted("resources_leaked_on_loss"))\n'
            "            worker.attempts.erase({ref.job, ref.position, ref.number});\n"
            "        else\n"
            "            vacate(worker, ref);",
        ),
    ],
    "slave/core/attempts.cpp": [
        (
            "        states.push_back({key, state});",
            '        if (attempt.phase != Phase::ended || !sim::planted("resync_without_ended"))\n'
            "            states.push_back({key, state});",
        ),
        (
            '        if (verdict.verdict == "adopt")\n',
            '        if (verdict.verdict == "adopt" ||\n'
            '            (verdict.verdict == "kill" && sim::planted("no_kill_at_resync")))\n',
        ),
    ],
}


def main():
    root, source, copy = sys.argv[1:]
    text = (pathlib.Path(root) / source).read_text(encoding="utf-8")
    for before, after in MUTATIONS[source]:
        if text.count(before) != 1:
            sys.exit(
                f"test/sim/mutations.py: {source} holds this {text.count(before)} times, not once; "
                f"bring the mutation in line with the source:\n{before}"
            )
        text = text.replace(before, after)
    path = pathlib.Path(copy)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#include "test/sim/bugs.hpp"\n#line 1 "{source}"\n{text}', encoding="utf-8")


if __name__ == "__main__":
    main()

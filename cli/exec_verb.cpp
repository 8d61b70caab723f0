#include <algorithm>
#include <cstdio>

#include "cli/exit_codes.hpp"
#include "cli/fold.hpp"
#include "cli/follow.hpp"
#include "cli/items.hpp"
#include "cli/progress.hpp"
#include "cli/stay.hpp"
#include "cli/submit.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/selector.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"

namespace rpic {

namespace {

constexpr std::size_t kept_output_bytes = 1024 * 1024;  // of each node; the rest is in the logs

NodeSet parse_nodes(const std::string& text, const char* option) {
    try {
        return NodeSet::parse(text);
    } catch (const SyntaxError& error) {
        throw UsageError(std::string("bad value for ") + option + ": " + error.what());
    }
}

/// Ids of the nodes to run on. A node that was named must be there; of "all", those are meant that
/// are.
std::vector<std::string> choose(const std::vector<NodeView>& nodes, const JobOptions& options) {
    const bool all = options.nodes.empty() || options.nodes == "all";
    NodeSet wanted;
    wanted.all = true;
    if (!all) wanted = parse_nodes(options.nodes, "-w");
    NodeSet excluded;
    if (!options.without.empty()) excluded = parse_nodes(options.without, "-x");
    std::vector<std::string> known;
    for (const auto& node : nodes) known.push_back(node.name);
    const auto choice = choose_nodes(wanted, excluded, known);
    if (!choice.unknown.empty())
        throw RequestFailedError("not_found", "there is no node " +
                                                  fold_node_names(choice.unknown) +
                                                  "; \"rpicluster nodes\" lists them");
    std::vector<std::string> ids;
    for (const auto& node : nodes) {
        const auto& names = choice.names;
        if (std::find(names.begin(), names.end(), node.name) == names.end()) continue;
        const bool runs_tasks = node.role == "worker" && !node.plain;
        const bool fit = runs_tasks && node.state == "online" && (!all || !node.draining);
        if (fit)
            ids.push_back(node.id);
        else if (!all && !runs_tasks)
            throw UsageError(node.name + " runs no tasks: it is no worker");
        else if (!all)
            throw RequestFailedError("conflict", node.name + " is " + node.state +
                                                     "; leave it out with -x " + node.name);
    }
    if (ids.empty()) throw RequestFailedError("not_found", "no worker is online to run this on");
    return ids;
}

std::vector<NodeOutput> collect(Client& client, const std::string& job) {
    GetJob request;
    request.job = job;
    std::vector<TaskView> tasks;
    for (;;) {
        auto answer = across_restarts(client, [&] { return get_job(client, request); });
        for (auto& task : answer.tasks) tasks.push_back(std::move(task));
        if (!answer.next) break;
        request.after = *answer.next;
    }
    std::vector<NodeOutput> outputs;
    OutputCopier copier(client, job_number(job));
    copier.copy(
        tasks,
        [&](const TaskView&, OutputStream stream, std::string_view bytes) {
            auto& output = outputs.back();
            auto& text = stream == OutputStream::out ? output.out : output.err;
            const auto room = kept_output_bytes - std::min(kept_output_bytes, text.size());
            output.cut = output.cut || bytes.size() > room;
            text += bytes.substr(0, room);
        },
        [&](const TaskView& task) {
            NodeOutput output;
            output.node = task.node.empty() ? "task " + std::to_string(task.index) : task.node;
            output.code = exit_code::of_task(task);
            output.reason = task.reason.value_or("");
            outputs.push_back(std::move(output));
        },
        [](const TaskView&) {});
    return outputs;
}

void print_folded(const std::vector<NodeOutput>& outputs, const std::string& job,
                  const Console& console) {
    for (const auto& folded : fold_outputs(outputs)) {
        const auto colour = folded.output.code == 0 ? Colour::good : Colour::bad;
        console.write(OutputStream::out, coloured(fold_header(folded), colour) + "\n");
        for (const auto stream : {OutputStream::out, OutputStream::err}) {
            const auto& text = stream == OutputStream::out ? folded.output.out : folded.output.err;
            console.write(stream, text);
            if (!text.empty() && text.back() != '\n') console.write(stream, "\n");
        }
        if (folded.output.cut)
            console.say("the output of " + folded.output.node +
                        " is longer: all of it is in \"rpicluster logs " + job + "\"");
    }
}

void print_as_json(const std::vector<NodeOutput>& outputs, const std::string& job, bool lines) {
    json::array nodes;
    for (const auto& output : outputs) {
        json::object node;
        node["node"] = output.node;
        node["exit_code"] = output.code;
        node["reason"] = output.reason.empty() ? json::value(nullptr) : json::value(output.reason);
        node["stdout"] = as_utf8(output.out);
        node["stderr"] = as_utf8(output.err);
        if (lines)
            print_json_line(node);
        else
            nodes.push_back(std::move(node));
    }
    if (lines) return;
    json::object value;
    value["job"] = job;
    value["nodes"] = std::move(nodes);
    print_json(std::move(value));
}

}  // namespace

int verb_exec(const Invocation& invocation) {
    auto options = parse_job_options(StartVerb::exec, invocation.arguments);
    Client client(find_credentials(invocation.settings));
    options.spec.on_each = choose(client.ask_all(ListNodes{}, &NodeList::nodes), options);
    if (options.spec.name.empty()) options.spec.name = "exec";
    const auto job = submit_job(client, std::move(options)).job.id;
    const Console console;
    return stay_with(client, job, console, [&] {
        ProgressLine line;
        JobProgress progress;
        JobWatcher watcher;
        watcher.on_change = [&](const std::vector<JobView>& jobs) {
            if (!jobs.empty()) line.show(progress.text(jobs.front(), Clock::now()));
        };
        watch_jobs(client, job, watcher);
        line.clear();
        auto outputs = collect(client, job);
        int worst = exit_code::ok;
        for (const auto& output : outputs) worst = std::max(worst, output.code);
        if (invocation.machine_readable())
            print_as_json(outputs, job, invocation.format == Format::jsonl);
        else
            print_folded(outputs, job, console);
        return worst;
    });
}

}  // namespace rpic

#include <algorithm>
#include <map>

#include "cli/exit_codes.hpp"
#include "cli/finished_tasks.hpp"
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
// So long after the last end the outputs that are there are printed, and what is missing is named:
// equal ones come together as a rule, and a node that is lost may never come back.
constexpr Duration fold_patience = std::chrono::seconds(5);

NodeSet parse_nodes(const std::string& text, const char* option) {
    try {
        return NodeSet::parse(text);
    } catch (const SyntaxError& error) {
        throw UsageError(std::string("bad value for ") + option + ": " + error.what());
    }
}

/// The nodes to run on. A node that was named must be there; of "all", those are meant that
/// are.
std::vector<NodeView> choose(const std::vector<NodeView>& nodes, const JobOptions& options) {
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
    std::vector<NodeView> chosen;
    for (const auto& node : nodes) {
        const auto& names = choice.names;
        if (std::find(names.begin(), names.end(), node.name) == names.end()) continue;
        const bool runs_tasks = node.role == "worker" && !node.plain;
        const bool fit = runs_tasks && node.state == "online" && (!all || !node.draining);
        if (fit)
            chosen.push_back(node);
        else if (!all && !runs_tasks)
            throw UsageError(node.name + " runs no tasks: it is no worker");
        else if (!all)
            throw RequestFailedError("conflict", node.name + " is " + node.state +
                                                     "; leave it out with -x " + node.name);
    }
    if (chosen.empty()) throw RequestFailedError("not_found", "no worker is online to run this on");
    return chosen;
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

json::object output_json(const NodeOutput& output) {
    json::object node;
    node["node"] = output.node;
    node["exit_code"] = output.code;
    node["reason"] = output.reason.empty() ? json::value(nullptr) : json::value(output.reason);
    node["stdout"] = as_utf8(output.out);
    node["stderr"] = as_utf8(output.err);
    return node;
}

void print_as_json(const std::vector<NodeOutput>& outputs, const std::string& job) {
    json::array nodes;
    for (const auto& output : outputs) nodes.push_back(output_json(output));
    json::object value;
    value["job"] = job;
    value["nodes"] = std::move(nodes);
    print_json(std::move(value));
}

Holdup holdup_of(const TaskView& task, const NodeView& node) {
    if (node.state == "lost") return Holdup::lost;
    if (node.state == "suspect") return Holdup::silent;
    if (task.state == "running") return Holdup::runs;
    return node.draining ? Holdup::draining : Holdup::not_started;
}

/// Stays with the job of an `exec`, prints what the nodes say, and which of them say nothing.
class ExecWatch {
  public:
    ExecWatch(Client& client, std::string job, std::vector<NodeView> nodes, const Console& console,
              Format format)
        : client_(client),
          job_(std::move(job)),
          nodes_(std::move(nodes)),
          console_(console),
          format_(format),
          finished_(job_),
          copier_(client, job_number(job_)) {}

    /// Gives the worst exit code.
    int run() {
        JobWatcher watcher;
        watcher.on_change = [this](const std::vector<JobView>& jobs) {
            look();
            if (!jobs.empty()) line_.show(progress_.text(jobs.front(), Clock::now()));
            attend();
        };
        watcher.on_tick = [this] { attend(); };
        try {
            watch_jobs(client_, job_, watcher);
        } catch (const InterruptedError&) {
            line_.clear();
            if (as_text()) print_folded(take_outputs(), job_, console_);
            throw;
        }
        look();
        line_.clear();
        if (format_ == Format::json)
            print_as_json(take_outputs(), job_);
        else
            print_folded(take_outputs(), job_, console_);
        return worst_code_;
    }

  private:
    bool as_text() const { return format_ == Format::table || format_ == Format::wide; }

    /// Takes what has ended since the last look.
    void look() {
        std::vector<TaskView> found;
        finished_.begin_look();
        while (const auto request = finished_.next_request()) {
            const auto answer =
                across_restarts(client_, [&] { return get_job(client_, *request); });
            finished_.take(answer.tasks, answer.next, found);
        }
        if (found.empty()) return;
        copier_.copy(
            found,
            [this](const TaskView& task, OutputStream stream, std::string_view bytes) {
                auto& output = outputs_[task.index];
                auto& text = stream == OutputStream::out ? output.out : output.err;
                const auto room = kept_output_bytes - std::min(kept_output_bytes, text.size());
                output.cut = output.cut || bytes.size() > room;
                text += bytes.substr(0, room);
            },
            [this](const TaskView& task) {
                auto& output = outputs_[task.index];
                output.node = task.node.empty() ? node_of(task).name : task.node;
                output.code = exit_code::of_task(task);
                output.reason = task.reason.value_or("");
                worst_code_ = std::max(worst_code_, output.code);
            },
            [this](const TaskView& task) {
                if (format_ != Format::jsonl) return;
                line_.clear();
                console_.write(OutputStream::out,
                               json::serialize(output_json(outputs_[task.index])) + '\n');
                outputs_.erase(task.index);
            });
        heard_at_ = Clock::now();
    }

    /// The node that a task is meant for: they are numbered from 1, as the nodes were chosen.
    const NodeView& node_of(const TaskView& task) const {
        return nodes_.at(static_cast<std::size_t>(task.index - 1));
    }

    /// In the order of the nodes.
    std::vector<NodeOutput> take_outputs() {
        std::vector<NodeOutput> outputs;
        for (auto& [index, output] : outputs_) outputs.push_back(std::move(output));
        outputs_.clear();
        return outputs;
    }

    void attend() {
        const auto now = Clock::now();
        if (now - heard_at_ < fold_patience || now - attended_at_ < fold_patience) return;
        attended_at_ = now;
        const auto note = awaited_text(awaited());
        if (note.empty()) return;  // the last end was seen by no look yet
        if (as_text() && !outputs_.empty()) {
            line_.clear();
            print_folded(take_outputs(), job_, console_);
        }
        if (note == told_) return;
        line_.clear();
        console_.say("job " + job_ + " waits for " + note +
                     (told_.empty()
                          ? "; Ctrl-C ends the waiting, \"rpicluster cancel " + job_ + "\" the job"
                          : std::string()));
        told_ = note;
    }

    std::vector<AwaitedNode> awaited() {
        std::map<std::string, NodeView> now;
        const auto ask = [&] { return client_.ask_all(ListNodes{}, &NodeList::nodes); };
        for (auto& node : across_restarts(client_, ask)) now[node.id] = std::move(node);
        std::vector<AwaitedNode> awaited;
        GetJob request;
        request.job = job_;
        for (;;) {
            const auto answer = across_restarts(client_, [&] { return get_job(client_, request); });
            for (const auto& task : answer.tasks) {
                if (has_ended(task)) continue;
                const auto node = now.find(node_of(task).id);
                if (node != now.end())
                    awaited.push_back({node->second.name, holdup_of(task, node->second)});
            }
            if (!answer.next) return awaited;
            request.after = *answer.next;
        }
    }

    Client& client_;
    std::string job_;
    std::vector<NodeView> nodes_;
    const Console& console_;
    Format format_;
    FinishedTasks finished_;
    OutputCopier copier_;
    std::map<std::int64_t, NodeOutput> outputs_;  // that were not printed yet, by task
    int worst_code_ = exit_code::ok;
    ProgressLine line_;
    JobProgress progress_;
    Instant heard_at_ = Clock::now();  // when a node has ended its task, or the job was submitted
    Instant attended_at_ = heard_at_;
    std::string told_;
};

}  // namespace

int verb_exec(const Invocation& invocation) {
    auto options = parse_job_options(StartVerb::exec, invocation.arguments);
    Client client(find_credentials(invocation.settings));
    auto nodes = choose(client.ask_all(ListNodes{}, &NodeList::nodes), options);
    for (const auto& node : nodes) options.spec.on_each.push_back(node.id);
    if (options.spec.name.empty()) options.spec.name = "exec";
    const auto job = submit_job(client, std::move(options)).job.id;
    const Console console;
    return stay_with(client, job, console, [&] {
        return ExecWatch(client, job, std::move(nodes), console, invocation.format).run();
    });
}

}  // namespace rpic

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/client.hpp"
#include "cli/job_options.hpp"
#include "cli/output.hpp"
#include "common/settings.hpp"

namespace rpic {

/// What every verb is given.
struct Invocation {
    Settings settings;
    Format format = Format::table;
    std::vector<std::string> arguments;  // behind the verb, without the global options

    bool machine_readable() const { return format == Format::json || format == Format::jsonl; }
};

/// Picks the options of a verb out of its arguments. Throws UsageError for what is left over.
class Arguments {
  public:
    explicit Arguments(std::vector<std::string> words) : words_(std::move(words)) {}

    bool take_toggle(const std::string& flag);
    std::optional<std::string> take_value(const std::string& flag);
    /// The next word that is no option; `what` is its name in the complaint.
    std::string take_word(const std::string& what);
    std::optional<std::string> take_optional_word();
    /// The next word, even if it begins with "-", as -5 does.
    std::string take_any_word(const std::string& what);
    /// The next word if it is ID.TASK, where TASK may be a selector.
    struct TaskName {
        std::string job;
        std::string task;
    };
    std::optional<TaskName> take_task();
    bool empty() const { return words_.empty(); }
    /// Nothing may be left.
    void finish() const;

  private:
    std::vector<std::string> words_;
};

/// The verbs; each returns the exit code.
int verb_nodes(const Invocation& invocation);
int verb_status(const Invocation& invocation);
int verb_remove(const Invocation& invocation);
int verb_token(const Invocation& invocation);
int verb_login(const Invocation& invocation);
int verb_doctor(const Invocation& invocation);
int verb_version(const Invocation& invocation);
int verb_completion(const Invocation& invocation);
int verb_demo(const Invocation& invocation);
int verb_submit(const Invocation& invocation);
int verb_run(const Invocation& invocation);
int verb_map(const Invocation& invocation);
int verb_exec(const Invocation& invocation);
int verb_jobs(const Invocation& invocation);
int verb_job(const Invocation& invocation);
int verb_logs(const Invocation& invocation);
int verb_wait(const Invocation& invocation);
int verb_cancel(const Invocation& invocation);
int verb_retry(const Invocation& invocation);
int verb_hold(const Invocation& invocation);
int verb_release(const Invocation& invocation);
int verb_priority(const Invocation& invocation);
int verb_explain(const Invocation& invocation);
int verb_attach(const Invocation& invocation);
int verb_fetch(const Invocation& invocation);
int verb_drain(const Invocation& invocation);
int verb_undrain(const Invocation& invocation);
int verb_label(const Invocation& invocation);
int verb_node(const Invocation& invocation);
int verb_events(const Invocation& invocation);
int verb_top(const Invocation& invocation);
int verb_backup(const Invocation& invocation);
int verb_restore(const Invocation& invocation);

/// A verb as --help and the completion know it.
struct Verb {
    const char* name;
    const char* arguments;
    const char* help;
    const char* completions;  // words that may follow, separated by spaces
    int (*run)(const Invocation&);
    std::optional<StartVerb> starts = std::nullopt;  // takes a command; the options of its jobs
    bool gives_task_codes = false;                   // then errors of its own are 125
    const char* exit_codes = nullptr;  // what --help says of them, where it is of its own kind
};
const std::vector<Verb>& all_verbs();

}  // namespace rpic

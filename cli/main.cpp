#include <poll.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>

#include "cli/exit_codes.hpp"
#include "cli/verbs.hpp"
#include "common/daemon.hpp"
#include "common/errors.hpp"
#include "common/file_error.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace {

using namespace rpic;

std::string usage_line(const Verb& verb) {
    return std::string(verb.name) + (*verb.arguments ? " " : "") + verb.arguments;
}

void print_help() {
    std::printf(
        "Usage: rpicluster [options] VERB ...\n"
        "The command of a cluster, for people and scripts. VERB --help tells more.\n\n");
    for (const auto& verb : all_verbs()) {
        const auto left = usage_line(verb);
        const bool fits = left.size() < 30;
        std::printf("  %-30s%s%s\n", left.c_str(), fits ? "" : "\n                                ",
                    verb.help);
    }
    std::printf("\n%s  -o table|wide|json|jsonl  form of the output (table)\n",
                options_help(Program::client).c_str());
    std::printf(
        "\nExit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 master unreachable, 5 key "
        "refused\n");
}

void print_verb_help(const Verb& verb) {
    std::printf("Usage: rpicluster [options] %s\n%s.\n", usage_line(verb).c_str(), verb.help);
    for (const auto& other : all_verbs())
        if (std::string_view(other.name).starts_with(std::string(verb.name) + " "))
            std::printf("  %s\n      %s\n", usage_line(other).c_str(), other.help);
    if (verb.starts) std::printf("\n%s", job_options_help(*verb.starts).c_str());
    if (verb.starts)
        std::printf(
            "\nOptions stand before the command; without \"--\" its first word begins it. In a "
            "task: RPIC_JOB,\nRPIC_TASK, RPIC_ATTEMPT, RPIC_ITEM, RPIC_NODE.\n");
    if (verb.starts == StartVerb::map)
        std::printf(
            "\nA command of one word is a line for sh, one of several words is run as it is.\n"
            "{} is the item, {.} without extension, {/} without folder, {//} its folder, {/.} "
            "both,\n{#} the number of the task; without any of these the item is added at the "
            "end.\n");
    if (verb.gives_task_codes)
        std::printf(
            "\nExit codes: %s; 125 for errors of rpicluster itself.\n",
            verb.starts == StartVerb::run || verb.starts == StartVerb::exec
                ? "that of the task, 128 + signal, 124 time limit, 126 cannot execute, 127 not "
                  "found, 130\ncancelled by Ctrl-C twice (once leaves the job alone: 125)"
                : "how many tasks failed, 101 for more than 100");
    if (verb.exit_codes != nullptr) std::printf("\nExit codes: %s.\n", verb.exit_codes);
}

const Verb* verb_named(const std::string& name) {
    for (const auto& verb : all_verbs())
        if (name == verb.name) return &verb;
    return nullptr;
}

/// The command line cut into what concerns all verbs and what concerns one.
struct Split {
    std::vector<std::string> global;
    std::vector<std::string> verb;
    std::string format = "table";
};

/// Global options may stand before the verb and behind it, up to a "--" or to the command of a
/// verb that starts jobs: what stands in that belongs to the command.
Split split_arguments(const std::vector<std::string>& words) {
    Split split;
    const std::vector<std::string> with_value = {"--master", "--key-file", "--state-dir",
                                                 "--config"};
    std::vector<bool> ours;  // of the words behind such a verb
    std::size_t first = 0;   // of these
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& word = words[i];
        const auto value = [&]() -> const std::string& {
            if (++i == words.size() || words[i] == "--") throw UsageError(word + " needs a value");
            return words[i];
        };
        const auto name = word.substr(0, word.find('='));
        const bool global =
            std::find(with_value.begin(), with_value.end(), name) != with_value.end();
        if (!ours.empty() && !ours[i - first]) {
            split.verb.push_back(word);
            continue;
        }
        if (word == "--") {
            split.verb.insert(split.verb.end(), words.begin() + static_cast<std::ptrdiff_t>(i),
                              words.end());
            break;
        }
        if (word == "-o" || word == "--output") {
            split.format = value();
        } else if (name == "-o" || name == "--output") {
            split.format = word.substr(name.size() + 1);
        } else if (word == "--help" || word == "-h" || word == "--version") {
            split.global.push_back(word);
        } else if (global) {
            split.global.push_back(word);
            if (name == word) split.global.push_back(value());
        } else {
            split.verb.push_back(word);
            const auto* verb = split.verb.size() == 1 ? verb_named(word) : nullptr;
            if (verb == nullptr || !verb->starts) continue;
            first = i + 1;
            const auto rest = words.begin() + static_cast<std::ptrdiff_t>(first);
            ours = own_words(*verb->starts, {rest, words.end()});
        }
    }
    return split;
}

Format parse_format(const std::string& name) {
    if (name == "table") return Format::table;
    if (name == "wide") return Format::wide;
    if (name == "json") return Format::json;
    if (name == "jsonl") return Format::jsonl;
    throw UsageError("unknown output \"" + printable(name, limits::log_text_chars) +
                     "\": expected table, wide, json or jsonl");
}

const Verb& find_verb(const std::string& name) {
    if (const auto* verb = verb_named(name)) return *verb;
    std::vector<std::string> names;
    for (const auto& verb : all_verbs()) names.emplace_back(verb.name);
    if (name.starts_with("-"))
        throw UsageError("unknown option \"" + printable(name, limits::log_text_chars) +
                         "\"; rpicluster --help lists the options");
    const auto near = nearest(name, names);
    throw UsageError(
        "unknown verb \"" + printable(name, limits::log_text_chars) + "\"" +
        (near.empty() ? "; rpicluster --help lists the verbs" : "; did you mean " + near + "?"));
}

Settings client_settings(int argc, char** argv) {
    try {
        return load_settings(Program::client, argc, argv);
    } catch (const ConfigError& error) {
        throw UsageError(error.what());
    }
}

int start(int argc, char** argv, bool& gives_task_codes) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    for (const auto& word : words)
        if (const auto* verb = verb_named(word)) {
            gives_task_codes = verb->gives_task_codes;
            break;
        }
    const auto split = split_arguments(words);
    gives_task_codes = false;
    if (!split.verb.empty())
        if (const auto* verb = verb_named(split.verb.front()))
            gives_task_codes = verb->gives_task_codes;
    std::vector<char*> global = {argv[0]};
    for (const auto& word : split.global) global.push_back(const_cast<char*>(word.c_str()));
    Invocation invocation;
    invocation.settings = client_settings(static_cast<int>(global.size()), global.data());
    invocation.format = parse_format(split.format);
    if (invocation.settings.version) return verb_version(invocation);
    const bool help_verb = !split.verb.empty() && split.verb[0] == "help";
    if (invocation.settings.help || help_verb) {
        const auto place = help_verb ? 1U : 0U;
        if (split.verb.size() > place)
            print_verb_help(find_verb(split.verb[place]));
        else
            print_help();
        return exit_code::ok;
    }
    if (split.verb.empty()) throw UsageError("which verb? rpicluster --help lists them");
    for (const auto& warning : invocation.settings.warnings)
        std::fprintf(stderr, "rpicluster: %s\n", warning.c_str());
    const auto& verb = find_verb(split.verb.front());
    invocation.arguments.assign(split.verb.begin() + 1, split.verb.end());
    return verb.run(invocation);
}

/// Nobody reads what we print, as in "rpicluster jobs | head": that is no mistake, and ends this
/// process in the way it ends others.
void end_if_nobody_reads() {
    pollfd output{1, 0, 0};
    if (::poll(&output, 1, 0) != 1 || (output.revents & POLLERR) == 0) return;
    std::signal(SIGPIPE, SIG_DFL);
    ::raise(SIGPIPE);
}

int complain(const std::string& text, int code) {
    std::fprintf(stderr, "rpicluster: %s\n", text.c_str());
    return code;
}

/// What went wrong, as a line on stderr; gives the exit code.
int explain_failure(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const OutputClosedError& error) {
        end_if_nobody_reads();
        return complain(error.what(), exit_code::failed);
    } catch (const UsageError& error) {
        return complain(error.what(), exit_code::usage);
    } catch (const UnreachableError& error) {
        return complain(error.what(), exit_code::unreachable);
    } catch (const KeyRefusedError& error) {
        return complain(std::string("the master refused the key: ") + error.what() +
                            "; ask its owner for a token (\"rpicluster token create\") and run "
                            "\"rpicluster login HOST\"",
                        exit_code::key_refused);
    } catch (const RequestFailedError& error) {
        return complain(error.what(), error.code == "not_found"   ? exit_code::not_found
                                      : error.code == "forbidden" ? exit_code::key_refused
                                                                  : exit_code::failed);
    } catch (const FileError& error) {
        // The master refuses files in the same words as requests.
        return complain(error.what(),
                        error.code == "forbidden" ? exit_code::key_refused : exit_code::failed);
    } catch (const std::exception& error) {
        return complain(error.what(), exit_code::failed);
    }
}

}  // namespace

int main(int argc, char** argv) {
    prepare_process();
    bool gives_task_codes = false;
    std::exception_ptr failure;
    try {
        const int code = start(argc, argv, gives_task_codes);
        // A job that was left because nobody reads has said so, and has a code of its own.
        if (code == exit_code::left_alone && gives_task_codes) return code;
        if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
        end_if_nobody_reads();
        throw std::runtime_error("cannot write the output");
    } catch (...) {
        failure = std::current_exception();
    }
    const int code = explain_failure(failure);
    return gives_task_codes ? exit_code::own_error : code;
}

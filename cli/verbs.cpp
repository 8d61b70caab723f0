#include "cli/verbs.hpp"

#include <algorithm>
#include <cstdio>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/version.hpp"

namespace rpic {

const std::vector<Verb>& all_verbs() {
    static const std::vector<Verb> verbs = {
        {"submit", "[options] -- COMMAND...", "queue a job; prints its id", "", &verb_submit,
         StartVerb::submit},
        {"run", "[options] -- COMMAND...", "the same, and stay with it: like ssh", "", &verb_run,
         StartVerb::run, true},
        {"map", "[options] 'COMMAND {}' ::: ITEMS", "run a command for each item, on all nodes", "",
         &verb_map, StartVerb::map, true},
        {"exec", "[-w NODES] [-x NODES] -- COMMAND...", "run a command on each of these nodes", "",
         &verb_exec, StartVerb::exec, true},
        {"jobs", "[ID..] [--state S]", "which jobs there are",
         "--state queued held running done failed cancelled", &verb_jobs},
        {"job", "ID [--tasks SEL] [--state S] [--after N]", "a job and its tasks",
         "--tasks --state --after", &verb_job},
        {"logs", "[-f] [--prefix] ID[.TASK]", "what its tasks printed", "-f --prefix", &verb_logs},
        {"wait", "ID..", "wait for the end; exits with the number of failed tasks", "", &verb_wait,
         std::nullopt, true},
        {"attach", "ID", "stay with a job as run does", "", &verb_attach, std::nullopt, false,
         "that of the task as with run, 125 if it has none (or Ctrl-C left the job alone); errors "
         "of\nrpicluster itself, which stderr tells: 2 usage, 3 not found, 4 master unreachable, "
         "5 key refused"},
        {"fetch", "ID[.TASK] [--to FOLDER] [--by-task] [--tasks SEL]",
         "bring the files home that its tasks made", "--to --by-task --tasks", &verb_fetch},
        {"cancel", "ID.. | ID.TASK", "end jobs, or tasks of one", "--tasks", &verb_cancel},
        {"retry", "ID --failed [--cancelled]", "run the tasks again that failed",
         "--failed --cancelled", &verb_retry},
        {"hold", "ID..", "start no more tasks of a job", "", &verb_hold},
        {"release", "ID..", "go on with a held job", "", &verb_release},
        {"priority", "ID N", "change a job's priority; higher ones start first", "",
         &verb_priority},
        {"explain", "ID", "why a job waits, and which node is nearest", "", &verb_explain},
        {"nodes", "[NAME] [--unwell]", "who is there, what they are, how they feel", "--unwell",
         &verb_nodes},
        {"drain", "NODE.. [--deadline T]", "give nodes no new work", "--deadline", &verb_drain},
        {"undrain", "NODE..", "give them work again; ends a quarantine, too", "", &verb_undrain},
        {"label", "NODE KEY=VALUE.. [KEY=]", "set labels of a node, or remove them", "",
         &verb_label},
        {"node", "reboot|poweroff NAME [--deadline T]", "restart or switch off a drained node",
         "reboot poweroff --deadline", &verb_node},
        {"remove", "NODE", "forget a node and its key", "", &verb_remove},
        {"status", "", "how the cluster is, in one line, and its counts", "", &verb_status},
        {"events", "[-f] [--new] [--since ID]", "what has happened", "-f --new --since",
         &verb_events},
        {"top", "", "nodes and jobs, live; q ends it", "", &verb_top},
        {"token", "[--rotate]", "show or renew the key with which nodes join",
         "create list revoke --rotate", &verb_token},
        {"token create", "--role viewer|submit|admin [--name N] [--ttl T]",
         "make a token for a person or a script", "", &verb_token},
        {"token list", "", "show which tokens there are", "", &verb_token},
        {"token revoke", "NAME", "make a token worthless", "", &verb_token},
        {"login", "HOST[:PORT]", "keep a token (read from stdin) for this user", "", &verb_login},
        {"backup", "FILE", "copy the master's state; it goes on meanwhile", "", &verb_backup},
        {"restore", "FILE", "start anew from a backup, on the machine of the stopped master", "",
         &verb_restore},
        {"doctor", "", "find out what is wrong, and what to do", "", &verb_doctor},
        {"demo", "[--tiles N] [--samples N] [--picture FILE.png]",
         "render a picture on all nodes, and show who did what", "--tiles --samples --picture",
         &verb_demo},
        {"version", "", "print the version", "", &verb_version},
        {"completion", "bash", "print the completion for bash", "bash", &verb_completion},
    };
    return verbs;
}

bool Arguments::take_toggle(const std::string& flag) {
    const auto found = std::find(words_.begin(), words_.end(), flag);
    if (found == words_.end()) return false;
    words_.erase(found);
    return true;
}

std::optional<std::string> Arguments::take_value(const std::string& flag) {
    std::optional<std::string> value;
    for (auto word = words_.begin(); word != words_.end();) {
        if (word->starts_with(flag + "=")) {
            value = word->substr(flag.size() + 1);
            word = words_.erase(word);
        } else if (*word == flag) {
            if (word + 1 == words_.end() || *(word + 1) == "--")
                throw UsageError(flag + " needs a value");
            value = *(word + 1);
            word = words_.erase(word, word + 2);
        } else {
            ++word;
        }
    }
    return value;
}

std::optional<std::string> Arguments::take_optional_word() {
    if (words_.empty() || words_.front().starts_with("-")) return std::nullopt;
    auto word = words_.front();
    if (word.empty()) throw UsageError("a name is empty");
    words_.erase(words_.begin());
    return word;
}

std::string Arguments::take_word(const std::string& what) {
    auto word = take_optional_word();
    if (!word && !words_.empty()) finish();
    if (!word) throw UsageError(what + " is missing; rpicluster --help shows how it is written");
    return *word;
}

std::string Arguments::take_any_word(const std::string& what) {
    if (words_.empty()) return take_word(what);
    auto word = words_.front();
    words_.erase(words_.begin());
    return word;
}

std::optional<Arguments::TaskName> Arguments::take_task() {
    if (words_.empty()) return std::nullopt;
    const auto word = words_.front();
    const auto dot = word.find('.');
    if (dot == std::string::npos || dot == 0 || dot + 1 == word.size()) return std::nullopt;
    words_.erase(words_.begin());
    return TaskName{word.substr(0, dot), word.substr(dot + 1)};
}

void Arguments::finish() const {
    if (words_.empty()) return;
    const auto& word = words_.front();
    if (word.starts_with("-"))
        throw UsageError("unknown option \"" + printable(word, limits::log_text_chars) +
                         "\"; the verb with --help shows which it has");
    throw UsageError("unexpected \"" + printable(word, limits::log_text_chars) +
                     "\"; rpicluster --help shows how it is written");
}

int verb_version(const Invocation& invocation) {
    Arguments(invocation.arguments).finish();
    if (invocation.machine_readable()) {
        json::object value;
        value["program"] = version;
        print_json(std::move(value));
    } else {
        std::printf("rpicluster %s\n", version);
    }
    return exit_code::ok;
}

int verb_completion(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const auto shell = arguments.take_word("the shell (bash)");
    arguments.finish();
    if (shell != "bash") throw UsageError("there is a completion for bash alone");
    std::string names;
    std::string cases;
    for (const auto& verb : all_verbs()) {
        const std::string name = verb.name;
        if (name.find(' ') != std::string::npos) continue;
        names += (names.empty() ? "" : " ") + name;
        const auto words = verb.starts ? job_option_names(*verb.starts) : verb.completions;
        if (!words.empty()) cases += "        " + name + ") words=\"" + words + "\" ;;\n";
    }
    std::printf(
        "# Completion of rpicluster for bash: source <(rpicluster completion bash)\n"
        "_rpicluster() {\n"
        "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        "    local verb=\"\" words=\"\" i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case \"${COMP_WORDS[i]}\" in\n"
        "        --master|--key-file|--state-dir|--config|-o) ((i++)) ;;\n"
        "        -*) ;;\n"
        "        *) verb=\"${COMP_WORDS[i]}\"; break ;;\n"
        "        esac\n"
        "    done\n"
        "    case \"$previous\" in\n"
        "    -o) words=\"table wide json jsonl\" ;;\n"
        "    --role) words=\"viewer submit admin\" ;;\n"
        "    --key-file|--config|--in|--stdin|--each-line|--file) mapfile -t COMPREPLY < <(compgen "
        "-f -- \"$current\"); return ;;\n"
        "    --state-dir|--to) mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); return ;;\n"
        "    *)\n"
        "        case \"$verb\" in\n"
        "        \"\") words=\"%s --master --key-file --state-dir -o --help --version\" ;;\n"
        "%s"
        "        esac\n"
        "        case \"$verb\" in\n"
        "        remove|drain|undrain|label)\n"
        "            words+=\" $(\"${COMP_WORDS[@]:0:i}\" nodes 2>/dev/null | "
        "awk 'NR > 1 { print $1 }')\" ;;\n"
        "        job|logs|wait|attach|fetch|cancel|retry|hold|release|priority|explain)\n"
        "            words+=\" $(\"${COMP_WORDS[@]:0:i}\" jobs 2>/dev/null | "
        "awk 'NR > 1 { print $1 }')\" ;;\n"
        "        esac ;;\n"
        "    esac\n"
        "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
        "}\n"
        "complete -F _rpicluster rpicluster\n",
        names.c_str(), cases.c_str());
    return exit_code::ok;
}

}  // namespace rpic

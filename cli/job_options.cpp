#include "cli/job_options.hpp"

#include <algorithm>

#include "cli/items.hpp"
#include "cli/job_option_table.hpp"
#include "common/errors.hpp"
#include "common/item_template.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"

namespace rpic {

namespace {

constexpr std::string_view global_with_value[] = {"--master", "--key-file", "--state-dir",
                                                  "--config", "-o",         "--output"};
constexpr std::string_view global_switches[] = {"--help", "-h", "--version"};

bool is_one_of(std::string_view word, const auto& words) {
    return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

bool looks_like_option(const std::string& word) {
    return word.size() > 1 && word.front() == '-';
}

std::string name_of(const std::string& word) {
    return word.substr(0, word.find('='));
}

/// `run --stdin` may stand alone. A word behind it is its value only if a "--" says where the
/// command begins.
bool stands_alone(StartVerb verb, const std::vector<std::string>& words, std::size_t at) {
    if (verb != StartVerb::run || words[at] != "--stdin") return false;
    if (at + 1 == words.size()) return true;
    const auto& next = words[at + 1];
    if (next == "-") return false;
    const auto rest = words.begin() + static_cast<std::ptrdiff_t>(at) + 1;
    return looks_like_option(next) || std::find(rest, words.end(), "--") == words.end();
}

/// `--in-arch arm64=a armhf=b`: further words of this kind belong to it, too. Only architectures
/// that nodes report are recognised, since a command may begin with any other word.
bool more_of_in_arch(const std::string& word) {
    constexpr std::string_view known[] = {"amd64", "arm64", "armhf", "armel", "i386"};
    return word.find('=') != std::string::npos && is_one_of(name_of(word), known);
}

/// How many words the option at this place takes, itself included; 0 if it is none that we know.
std::size_t option_length(StartVerb verb, const std::vector<std::string>& words, std::size_t at) {
    const auto& word = words[at];
    const auto name = name_of(word);
    if (is_one_of(word, global_switches)) return 1;
    const auto* option = find_job_option(verb, name);
    const bool global = is_one_of(name, global_with_value);
    if (option == nullptr && !global) return 0;
    const bool has_value = name != word;
    const bool wants_value = global || option->takes_value();
    std::size_t length = has_value || !wants_value || stands_alone(verb, words, at) ? 1 : 2;
    if (name == "--in-arch")
        while (at + length < words.size() && more_of_in_arch(words[at + length])) ++length;
    return length;
}

/// Other verbs that start jobs have an option of this name; empty if none has.
std::string verbs_with(const std::string& name) {
    std::string verbs;
    for (const auto& [verb, text] : {std::pair{StartVerb::submit, "submit"},
                                     {StartVerb::run, "run"},
                                     {StartVerb::map, "map"},
                                     {StartVerb::exec, "exec"}})
        if (find_job_option(verb, name) != nullptr)
            verbs += (verbs.empty() ? "" : ", ") + std::string(text);
    return verbs;
}

[[noreturn]] void refuse_unknown(StartVerb verb, const std::string& name) {
    if (const auto verbs = verbs_with(name); !verbs.empty())
        throw UsageError(name + " is an option of " + verbs + ", not of this verb");
    std::vector<std::string> names;
    for (const auto& known : job_option_table())
        if (find_job_option(verb, known.name) != nullptr) names.emplace_back(known.name);
    const auto near = nearest(name, names);
    throw UsageError("unknown option \"" + printable(name, limits::log_text_chars) + "\"" +
                     (near.empty() ? "" : "; did you mean " + near + "?") +
                     " (a command with options of its own stands behind --)");
}

/// The jobs of a file say themselves what they need; what stands beside it would mean nothing.
void check_beside_file(const std::vector<std::string>& given) {
    for (const auto& name : given)
        if (name != "--file" && name != "--idempotency-key")
            throw UsageError(name + " cannot stand beside --file: write it into the file, as \"" +
                             name.substr(2) + " = ...\" of a job");
}

/// The command's words without its items, which go into the options.
std::vector<std::string> take_items(StartVerb verb, std::vector<std::string> words,
                                    JobOptions& options) {
    if (verb != StartVerb::map) return words;
    const auto mark = std::find(words.begin(), words.end(), ":::");
    if (mark == words.end()) return words;
    options.has_items = true;
    options.items.assign(mark + 1, words.end());
    words.erase(mark, words.end());
    return words;
}

std::string example(StartVerb verb) {
    switch (verb) {
        case StartVerb::submit:
            return "rpicluster submit --cpus 2 -- ./render 1";
        case StartVerb::run:
            return "rpicluster run -- uname -a";
        case StartVerb::map:
            return "rpicluster map 'gzip {}' ::: a b c";
        case StartVerb::exec:
            return "rpicluster exec -w 'pi[1-4]' -- uptime";
    }
    return {};
}

/// The map of one word is a line for the shell, that of several a command that is run as it is.
void set_command(StartVerb verb, std::vector<std::string> command, JobOptions& options) {
    auto& spec = options.spec;
    if (verb == StartVerb::map && command.size() == 1) {
        command = {"/bin/sh", "-c", command.front()};
        spec.shell = true;
    }
    const bool items = verb == StartVerb::map && options.item_list();
    spec.numbered = verb == StartVerb::map && !items;
    spec.command = items ? with_item_mark(std::move(command), spec.shell) : std::move(command);
}

}  // namespace

std::vector<bool> own_words(StartVerb verb, const std::vector<std::string>& words) {
    std::vector<bool> own(words.size(), false);
    bool behind_command = false;
    for (std::size_t i = 0; i < words.size();) {
        if (words[i] == "--" || words[i] == ":::") break;
        if (looks_like_option(words[i])) {
            auto length = option_length(verb, words, i);
            // Unknown options are ours where no command has begun: the complaint is better.
            if (length == 0 && behind_command) break;
            length = std::max<std::size_t>(length, 1);
            for (std::size_t k = i; k < std::min(i + length, words.size()); ++k) own[k] = true;
            i += length;
            continue;
        }
        const bool options_follow = verb == StartVerb::map && !behind_command &&
                                    i + 1 < words.size() && looks_like_option(words[i + 1]) &&
                                    option_length(verb, words, i + 1) > 0;
        if (!options_follow) break;
        behind_command = true;
        ++i;
    }
    return own;
}

JobOptions parse_job_options(StartVerb verb, const std::vector<std::string>& words) {
    JobOptions options;
    // A look at the nodes need not wait until one of their CPUs is free.
    if (verb == StartVerb::exec) options.spec.cpus = 0;
    const auto own = own_words(verb, words);
    std::vector<std::string> command;
    std::vector<std::string> given;
    bool ended = false;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& word = words[i];
        if (!own[i]) {
            const bool separator = word == "--" && command.empty() && !ended;
            ended = ended || separator;
            if (!separator) command.push_back(word);
            continue;
        }
        const auto name = name_of(word);
        const auto* option = find_job_option(verb, name);
        if (option == nullptr) refuse_unknown(verb, name);
        given.push_back(name);
        std::string value;
        if (name != word)
            value = word.substr(name.size() + 1);
        else if (stands_alone(verb, words, i))
            value = "-";
        else if (option->takes_value() && (++i == words.size() || words[i] == "--"))
            throw UsageError(name + " needs a value: " + std::string(option->argument));
        else if (option->takes_value())
            value = words[i];
        option->apply(options, value);
        if (name != "--in-arch") continue;
        for (; i + 1 < words.size() && own[i + 1] && more_of_in_arch(words[i + 1]); ++i)
            option->apply(options, words[i + 1]);
    }
    if (!options.job_file.empty()) check_beside_file(given);
    set_command(verb, take_items(verb, std::move(command), options), options);
    check_job_options(verb, options);
    return options;
}

void apply_job_option(JobOptions& options, const std::string& name,
                      const std::vector<std::string>& values) {
    const auto* option = find_job_option(StartVerb::submit, "--" + name);
    if (option == nullptr || name == "file")
        throw UsageError("there is no option \"" + printable(name, limits::log_text_chars) + "\"");
    if (option->takes_value() && values.empty())
        throw UsageError("\"" + name + "\" needs a value: " + std::string(option->argument));
    if (!option->takes_value()) option->apply(options, "");
    if (option->takes_value())
        for (const auto& value : values) option->apply(options, value);
}

void check_job_options(StartVerb verb, const JobOptions& options) {
    const auto& spec = options.spec;
    if (!options.job_file.empty()) {
        if (!spec.command.empty())
            throw UsageError("--file names the jobs: a command cannot stand beside it");
        return;
    }
    if (spec.command.empty())
        throw UsageError("the command is missing, for example: " + example(verb));
    if (spec.command.front().empty()) throw UsageError("the command's first word is empty");
    const int lists = (options.has_items ? 1 : 0) + (options.each_line.empty() ? 0 : 1) +
                      (spec.array.empty() ? 0 : 1);
    if (lists > 1) throw UsageError("only one of :::, --each-line and --array can be given");
    if (verb == StartVerb::map && lists == 0)
        throw UsageError("map needs items: ::: ITEMS, --each-line FILE or --array, for example: " +
                         example(verb));
    if (options.each_line == "-" && options.stdin_file == "-")
        throw UsageError("stdin can be read only once: --each-line - or --stdin");
    if (spec.item_limit > 0 && !options.item_list())
        throw UsageError("--limit needs ::: or --each-line (an array has FIRST-LAST%LIMIT)");
    if (options.resume && !spec.idempotency_key.empty())
        throw UsageError("--resume finds the job by itself: leave --idempotency-key away");
    if (spec.on_disconnect != "stop" && spec.lost_after_seconds > 0)
        throw UsageError("--lost-after needs --on-disconnect stop");
    if (spec.on_disconnect == "stop" && spec.lost_after_seconds > 0 &&
        spec.lost_after_seconds < to_seconds(limits::lost_after_stop_min))
        throw UsageError("with --on-disconnect stop, --lost-after is 60s at least");
    const auto text = json::serialize(to_json(spec));
    if (!is_utf8(text))
        throw UsageError("the command and its options must be UTF-8: a word of them is not");
    if (text.size() > limits::job_spec_bytes)
        throw UsageError("the command and its options are longer than " +
                         format_size(static_cast<std::int64_t>(limits::job_spec_bytes)) +
                         ": put them into a script and send it along with --in");
}

std::string job_options_help(StartVerb verb) {
    std::string text;
    for (const auto& option : job_option_table()) {
        if (find_job_option(verb, option.name) == nullptr) continue;
        std::string left = "  " + std::string(option.name);
        if (option.takes_value()) left += " " + std::string(option.argument);
        left.resize(std::max<std::size_t>(left.size() + 2, 26), ' ');
        text += left + std::string(option.help) + "\n";
    }
    return text;
}

std::string job_option_names(StartVerb verb) {
    std::string names;
    for (const auto& option : job_option_table())
        if (find_job_option(verb, option.name) != nullptr)
            names += (names.empty() ? "" : " ") + std::string(option.name);
    return names;
}

}  // namespace rpic

#include <algorithm>
#include <cstdio>

#include "cli/verbs.hpp"
#include "common/daemon.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace {

using namespace rpic;

void print_help() {
    std::printf(
        "Usage: rpicluster [options] VERB ...\n"
        "The command of a cluster, for people and scripts.\n\n");
    for (const auto& verb : all_verbs()) {
        const auto left = std::string(verb.name) + (*verb.arguments ? " " : "") + verb.arguments;
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

/// The command line cut into what concerns all verbs and what concerns one.
struct Split {
    std::vector<std::string> global;
    std::vector<std::string> verb;
    std::string format = "table";
};

/// Global options may stand before the verb and behind it, up to a "--".
Split split_arguments(int argc, char** argv) {
    Split split;
    const std::vector<std::string> with_value = {"--master", "--key-file", "--state-dir",
                                                 "--config"};
    const std::vector<std::string> words(argv + 1, argv + argc);
    for (std::size_t i = 0; i < words.size(); ++i) {
        const auto& word = words[i];
        const auto value = [&]() -> const std::string& {
            if (++i == words.size()) throw UsageError(word + " needs a value");
            return words[i];
        };
        const auto name = word.substr(0, word.find('='));
        const bool global =
            std::find(with_value.begin(), with_value.end(), name) != with_value.end();
        if (word == "--") {
            split.verb.insert(split.verb.end(), words.begin() + static_cast<std::ptrdiff_t>(i),
                              words.end());
            break;
        }
        if (word == "-o" || word == "--output") {
            split.format = value();
        } else if (word == "--help" || word == "-h" || word == "--version") {
            split.global.push_back(word);
        } else if (global) {
            split.global.push_back(word);
            if (name == word) split.global.push_back(value());
        } else {
            split.verb.push_back(word);
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
    std::vector<std::string> names;
    for (const auto& verb : all_verbs()) {
        if (name == verb.name) return verb;
        names.emplace_back(verb.name);
    }
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

int start(int argc, char** argv) {
    const auto split = split_arguments(argc, argv);
    std::vector<char*> global = {argv[0]};
    for (const auto& word : split.global) global.push_back(const_cast<char*>(word.c_str()));
    Invocation invocation;
    invocation.settings = client_settings(static_cast<int>(global.size()), global.data());
    invocation.format = parse_format(split.format);
    if (invocation.settings.version) return verb_version(invocation);
    const bool help = invocation.settings.help || (!split.verb.empty() && split.verb[0] == "help");
    if (help) {
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

int complain(const std::string& text, int code) {
    std::fprintf(stderr, "rpicluster: %s\n", text.c_str());
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    prepare_process();
    try {
        const int code = start(argc, argv);
        if (std::fflush(stdout) != 0) return complain("cannot write the output", exit_code::failed);
        return code;
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
    } catch (const std::exception& error) {
        return complain(error.what(), exit_code::failed);
    }
}

#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/job_messages.hpp"

/// The command lines of the verbs that start jobs. Pure: files are named here, and read elsewhere.
namespace rpic {

enum class StartVerb { submit, run, map, exec };

/// What somebody asks for. What needs a file is still missing in `spec`: items, in, in_arch, stdin.
struct JobOptions {
    JobSpec spec;
    std::string each_line;                       // file of items, one a line; - is stdin
    std::vector<std::string> items;              // written behind :::
    bool has_items = false;                      // there was a ":::"
    std::vector<std::string> in;                 // paths
    std::map<std::string, std::string> in_arch;  // architecture -> path
    std::string stdin_file;                      // - is stdin; empty: none
    std::string job_file;                        // submit --file
    std::string nodes;                           // exec -w
    std::string without;                         // exec -x
    std::string to = ".";                        // run, map: where the files of --out go
    bool keep_order = false;                     // map
    bool resume = false;                         // map

    bool item_list() const { return has_items || !each_line.empty(); }
};

/// Reads what stands behind the verb. Throws UsageError: one line with the word, the option and
/// what is expected.
JobOptions parse_job_options(StartVerb verb, const std::vector<std::string>& words);

/// Takes one option, named without dashes, as a job file has it. An empty list is a switch that is
/// on. Throws UsageError.
void apply_job_option(JobOptions& options, const std::string& name,
                      const std::vector<std::string>& values);

/// What must hold of all options together. Throws UsageError.
void check_job_options(StartVerb verb, const JobOptions& options);

/// Which of the words behind the verb belong to us; the others are the user's command and its
/// items. Options stand before the command, and end at a "--" or at the first word that is none;
/// those of map may also stand directly behind a command of one word. Global options count as ours.
std::vector<bool> own_words(StartVerb verb, const std::vector<std::string>& words);

/// For --help: one line for each option.
std::string job_options_help(StartVerb verb);

/// For the completion: all options, separated by spaces.
std::string job_option_names(StartVerb verb);

}  // namespace rpic

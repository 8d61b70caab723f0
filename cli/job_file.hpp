#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/syntax_error.hpp"

/// A file of jobs that depend on one another, in TOML or JSON. Only its text is read here: what the
/// options mean is the business of job_options, the same as for options on the command line.
///
///     [[job]]
///     name = "frames"
///     command = ["./render", "--frame"]    # or "a line for sh"
///     array = "1-100%20"
///     in = ["render", "scene/"]
///     resource = { gpu = 1 }
///
///     [[job]]
///     name = "sound"
///     command = "sox voice.wav sound.ogg && ls -l"
///     after = ["frames"]                   # names of this file or ids; any:NAME, any:ID
namespace rpic {

struct FileJob {
    std::string place;                 // "film.toml:8", for messages
    std::string name;                  // unique in the file; among the options, too
    std::vector<std::string> command;  // argv, or one line for sh
    bool shell = false;
    std::vector<std::string> items;  // one task for each; only if has_items
    bool has_items = false;
    /// What `after` names of this file: "frames" or "any:frames". Ids are among the options.
    std::vector<std::string> after;
    /// Options as on the command line, without the dashes: "time-limit" -> {"1h"}, "resource" ->
    /// {"gpu=1"}, "env" -> {"LANG=C"}, "in" -> {"render", "scene/"}, "each-line" -> {PATH}. A
    /// switch that is on has no value.
    std::map<std::string, std::vector<std::string>> options;
};

/// The jobs of a file, each behind those that it comes after. JSON if the text begins with '{',
/// else TOML. Throws SyntaxError: one line with the file's name and, for TOML, the line.
std::vector<FileJob> parse_job_file(std::string_view text, std::string_view file_name);

}  // namespace rpic

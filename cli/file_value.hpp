#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/syntax_error.hpp"

namespace rpic {

struct FileMember;

/// A value of a TOML or JSON file, as far as a job file has any: three levels of tables and lists,
/// everything else as text.
struct FileValue {
    enum class Kind { text, number, toggle, list, table };

    Kind kind = Kind::text;
    int line = 0;      // where it begins; 0: unknown
    std::string text;  // also of a number ("0.5") and of a toggle ("true", "false")
    std::vector<FileValue> list;
    std::vector<FileMember> table;

    bool integer() const { return kind == Kind::number && text.find('.') == std::string::npos; }
};

/// One line of a table. (A pair of the two is more than clang can take apart inside FileValue.)
struct FileMember {
    std::string name;
    FileValue value;
};

/// The table that a file is. Throws SyntaxError: one line with the name of the file and, where it
/// is known, the line.
FileValue parse_toml(std::string_view text, const std::string& file_name);
FileValue parse_json_file(std::string_view text, const std::string& file_name);

/// "film.toml:8: ", without a number for line 0.
std::string file_place(const std::string& file_name, int line);

/// "job 2", which is the place where there are no lines. The first is 1.
std::string job_in_file(std::size_t number);

}  // namespace rpic

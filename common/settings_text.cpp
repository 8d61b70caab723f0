#include <algorithm>
#include <cctype>
#include <utility>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/settings.hpp"
#include "common/text.hpp"

/// What people write and read about settings: configuration files, names that do not exist, --help.
namespace rpic {

std::string environment_name(const Setting& setting) {
    std::string name = "RPICLUSTER_" + std::string(setting.section) + "_" + setting.key;
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

std::string unknown_variable(std::string_view variable) {
    constexpr std::string_view prefix = "RPICLUSTER_";
    const auto name = variable.substr(0, variable.find('='));
    if (!name.starts_with(prefix)) return {};
    std::vector<std::string> known;
    for (const auto& setting : all_settings()) known.push_back(environment_name(setting));
    if (std::find(known.begin(), known.end(), name) != known.end()) return {};
    const auto near = nearest(name, known);
    return "unknown environment variable " + printable(name, limits::log_text_chars) +
           (near.empty() ? "; settings are RPICLUSTER_SECTION_KEY, as RPICLUSTER_SLAVE_MASTER_IP"
                         : "; did you mean " + near + "?");
}

IniFile parse_ini(std::string_view text, std::string_view file_name) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
        throw ConfigError(std::string(file_name) + " line 1: is UTF-16; save it as UTF-8");
    IniFile file;
    file.name = file_name;
    std::string section;
    for (int number = 1; !text.empty(); ++number) {
        const auto end = text.find('\n');
        const auto line = trim(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty() || line[0] == '#' || line[0] == ';') continue;
        const auto complain = [&](const char* what) {
            throw ConfigError(std::string(file_name) + " line " + std::to_string(number) + ": " +
                              what);
        };
        if (line[0] == '[') {
            if (line.back() != ']') complain("a section is written [name]");
            section = lower(trim(line.substr(1, line.size() - 2)));
            continue;
        }
        const auto separator = line.find_first_of("=:");
        if (separator == std::string_view::npos) complain("expected \"key = value\"");
        if (section.empty()) complain("expected a [section] before the first key");
        file.entries.push_back({section, lower(trim(line.substr(0, separator))),
                                std::string(trim(line.substr(separator + 1))), number});
    }
    return file;
}

std::vector<std::string> unknown_keys(const IniFile& file, std::string_view file_name) {
    std::vector<std::string> warnings;
    std::size_t untold = 0;
    std::vector<std::string> everywhere;
    for (const auto& setting : all_settings())
        everywhere.push_back("[" + std::string(setting.section) + "] " + setting.key);
    for (const auto& entry : file.entries) {
        std::vector<std::string> in_section;
        for (const auto& setting : all_settings())
            if (entry.section == setting.section) in_section.emplace_back(setting.key);
        if (std::find(in_section.begin(), in_section.end(), entry.key) != in_section.end())
            continue;
        if (warnings.size() == limits::config_warnings) {
            ++untold;
            continue;
        }
        const auto near = in_section.empty()
                              ? nearest("[" + entry.section + "] " + entry.key, everywhere)
                              : nearest(entry.key, in_section);
        warnings.push_back(std::string(file_name) + " line " + std::to_string(entry.line) +
                           ": unknown key " + printable(entry.key, limits::log_text_chars) +
                           " in section [" + printable(entry.section, limits::log_text_chars) +
                           "]" + (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    if (untold > 0)
        warnings.push_back(std::string(file_name) + ": " + std::to_string(untold) +
                           " more unknown keys");
    return warnings;
}

std::string options_help(Program program) {
    std::vector<std::pair<std::string, std::string>> lines;
    for (const auto& setting : all_settings()) {
        if (setting.program != program || *setting.flag == '\0') continue;
        std::string left = std::string("--") + setting.flag;
        if (setting.kind != Setting::Kind::toggle) left += std::string(" ") + setting.argument;
        std::string right = setting.help;
        if (setting.kind != Setting::Kind::toggle && *setting.default_value != '\0')
            right += std::string(" (") + setting.default_value + ")";
        lines.emplace_back(left, right);
    }
    lines.emplace_back("--config F",
                       std::string("configuration file (") + default_config_file + ")");
    lines.emplace_back("--version", "print the version and exit");
    lines.emplace_back("--help", "print this and exit");
    std::string text;
    for (const auto& [left, right] : lines) {
        text += "  " + left;
        text += left.size() < 24 ? std::string(26 - left.size(), ' ') : "\n" + std::string(28, ' ');
        text += right + "\n";
    }
    return text;
}

}  // namespace rpic

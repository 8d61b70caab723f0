#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/log.hpp"

/// Configuration of all programs. A value comes from, in this order: the command line, the
/// environment (RPICLUSTER_<SECTION>_<KEY>), the file, the file of the boot partition, the default.
/// One table (settings.cpp) knows every key; the file of the seed texts loads unchanged.
namespace rpic {

enum class Program { master, slave, client };

struct Setting {
    enum class Kind { text, toggle, port, duration, size, count, choice };

    Program program;
    const char* section;
    const char* key;
    const char* flag;  // without the dashes; "": none
    Kind kind;
    bool repeats;               // on the command line; in file and environment separated by commas
    const char* default_value;  // "": unset
    const char* argument;       // its name in --help; for a choice the words, separated by '|'
    const char* help;
};

/// Every key of the file, of all programs.
const std::vector<Setting>& all_settings();

/// A file of sections, keys and values: "[section]", "key = value" or "key: value", comments with
/// '#' and ';', a byte order mark and CRLF are accepted. Later lines win.
struct IniFile {
    struct Entry {
        std::string section;
        std::string key;
        std::string value;
        int line = 0;
    };
    std::string name;
    std::vector<Entry> entries;
};

/// Throws ConfigError naming the line that is neither section, key nor comment.
IniFile parse_ini(std::string_view text, std::string_view file_name);

/// One warning for each unknown key of the file, with the nearest known one.
std::vector<std::string> unknown_keys(const IniFile& file, std::string_view file_name);

/// RPICLUSTER_SECTION_KEY in upper case.
std::string environment_name(const Setting& setting);

/// A warning if `variable` (`NAME=value`, or the name alone) is meant for rpicluster and no
/// setting; else empty.
std::string unknown_variable(std::string_view variable);

/// The values that apply to one program.
class Settings {
  public:
    /// An empty text where nothing is set. `flag_or_key` is Setting::flag, or key where there is no
    /// flag.
    const std::string& text(std::string_view flag_or_key) const;
    const std::vector<std::string>& list(std::string_view flag_or_key) const;
    bool toggle(std::string_view flag) const;
    std::uint16_t port(std::string_view flag) const;
    std::optional<Duration> duration(std::string_view flag) const;
    std::optional<std::int64_t> size(std::string_view flag) const;
    std::optional<std::int64_t> count(std::string_view flag) const;

    bool help = false;
    bool version = false;
    std::vector<std::string> arguments;  // what is not an option, and all behind "--"
    std::vector<std::string> warnings;

    void set(std::string name, std::vector<std::string> values) {
        values_[std::move(name)] = std::move(values);
    }

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

using Environment = std::function<const char*(const std::string& name)>;
/// Contents of a file, or nothing if there is none. Throws ConfigError if it cannot be read.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

inline constexpr const char* default_config_file = "/etc/rpicluster/rpicluster.cfg";

/// Where a PC can put a file onto the card of a Raspberry Pi: its boot partition, which is mounted
/// at the first place by Raspberry Pi OS since bookworm and at the second before. Some editors of
/// PCs add ".txt" and do not show it. The first one that is there is read.
inline constexpr const char* boot_config_files[] = {
    "/boot/firmware/rpicluster.cfg", "/boot/firmware/rpicluster.cfg.txt", "/boot/rpicluster.cfg",
    "/boot/rpicluster.cfg.txt"};

/// Reads command line, environment and files: of `--config F`, which must exist, F alone, else that
/// of the boot partition and the default file, which wins; neither need be there.
/// All values are checked here: ConfigError is one line that names value, origin and what is
/// expected.
Settings load_settings(Program program, const std::vector<std::string>& arguments,
                       const Environment& environment, const FileReader& read_file);

/// The same with the real environment and files.
Settings load_settings(Program program, int argc, char** argv);

/// --log-level and --log-file.
LogOptions log_options(const Settings& settings);

/// The options of a program for --help.
std::string options_help(Program program);

}  // namespace rpic

#include "cli/job_file.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "cli/file_value.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// What an option of a job takes.
enum class Takes { text, integer, number, text_or_number, toggle, texts, table, command };

struct Key {
    const char* name;
    Takes takes;
};

constexpr std::array keys = {
    Key{"name", Takes::text},
    Key{"command", Takes::command},
    Key{"array", Takes::text_or_number},
    Key{"items", Takes::texts},
    Key{"each_line", Takes::text},
    Key{"limit", Takes::integer},
    Key{"cpus", Takes::number},
    Key{"mem", Takes::text_or_number},
    Key{"resource", Takes::table},
    Key{"where", Takes::text},
    Key{"priority", Takes::integer},
    Key{"time_limit", Takes::text_or_number},
    Key{"retries", Takes::integer},
    Key{"max_fails", Takes::integer},
    Key{"after", Takes::texts},
    Key{"in", Takes::texts},
    Key{"in_arch", Takes::table},
    Key{"out", Takes::texts},
    Key{"env", Takes::table},
    Key{"stdin", Takes::text},
    Key{"cwd", Takes::text},
    Key{"idempotency_key", Takes::text},
    Key{"on_disconnect", Takes::text},
    Key{"lost_after", Takes::text_or_number},
    Key{"notify", Takes::text},
    Key{"hold", Takes::toggle},
};

std::string in_quotes(std::string_view text) {
    return '"' + printable(text, limits::log_text_chars) + '"';
}

const char* expectation(Takes takes) {
    switch (takes) {
        case Takes::text:
            return "a text in quotes";
        case Takes::integer:
            return "a whole number";
        case Takes::number:
            return "a number";
        case Takes::text_or_number:
            return "a text in quotes or a number";
        case Takes::toggle:
            return "true or false";
        case Takes::texts:
            return "a text in quotes or a list of them";
        case Takes::table:
            return "a table such as { NAME = VALUE }";
        case Takes::command:
            return "a list of words, or a line for sh in quotes";
    }
    return "";
}

bool is_word(const FileValue& value) {
    return value.kind == FileValue::Kind::text || value.kind == FileValue::Kind::number;
}

bool all_words(const std::vector<FileValue>& values) {
    return std::all_of(values.begin(), values.end(), is_word);
}

bool fits(Takes takes, const FileValue& value) {
    using Kind = FileValue::Kind;
    switch (takes) {
        case Takes::text:
            return value.kind == Kind::text;
        case Takes::integer:
            return value.integer();
        case Takes::number:
            return value.kind == Kind::number;
        case Takes::text_or_number:
            return is_word(value);
        case Takes::toggle:
            return value.kind == Kind::toggle;
        case Takes::texts:
            return is_word(value) || (value.kind == Kind::list && all_words(value.list));
        case Takes::table:
            return value.kind == Kind::table &&
                   std::all_of(value.table.begin(), value.table.end(), [](const auto& member) {
                       return is_word(member.value) || member.value.kind == Kind::toggle;
                   });
        case Takes::command:
            return value.kind == Kind::text ||
                   (value.kind == Kind::list && !value.list.empty() && all_words(value.list));
    }
    return false;
}

/// The words of a value that fits.
std::vector<std::string> words(const FileValue& value) {
    std::vector<std::string> result;
    if (value.kind == FileValue::Kind::list)
        for (const auto& element : value.list) result.push_back(element.text);
    else if (value.kind == FileValue::Kind::table)
        for (const auto& [name, member] : value.table) result.push_back(name + '=' + member.text);
    else
        result.push_back(value.text);
    return result;
}

/// A number alone is the id of a job that is not in the file.
bool is_id(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// "any:NAME" without its beginning.
std::string_view without_condition(std::string_view text) {
    for (const std::string_view condition : {"any:", "ok:"})
        if (text.substr(0, condition.size()) == condition) return text.substr(condition.size());
    return text;
}

class JobFileReader {
  public:
    explicit JobFileReader(std::string file_name) : file_(std::move(file_name)) {}

    std::vector<FileJob> read(const FileValue& root) {
        const FileValue* list = nullptr;
        for (const auto& [key, value] : root.table) {
            if (key != "job")
                fail(value.line, "unknown key " + in_quotes(key) +
                                     ": a job file holds nothing but jobs ([[job]])");
            list = &value;
        }
        if (list == nullptr) fail(0, "there is no job in it: expected [[job]]");
        if (list->kind != FileValue::Kind::list)
            fail(list->line, "\"job\" is not a list: write [[job]], with two brackets");
        if (list->list.size() > limits::job_file_jobs)
            fail(0, "more than " + std::to_string(limits::job_file_jobs) +
                        " jobs: an array job has many tasks, and a file can be split");
        for (const auto& value : list->list) read_job(value);
        reading_.clear();
        resolve_names();
        return in_order();
    }

  private:
    [[noreturn]] void fail(int line, const std::string& reason) const {
        // Only TOML has lines: in JSON the job itself is the place.
        const bool nameless = line == 0 && !reading_.empty();
        throw SyntaxError(nameless ? place_of(line) + ": " + reason
                                   : file_place(file_, line) + reason);
    }

    /// "film.toml:8"; without a line "film.json: job 2 (film)".
    std::string place_of(int line) const {
        const auto place = file_place(file_, line);
        return line > 0 ? place.substr(0, place.size() - 2) : place + reading_;
    }

    void read_job(const FileValue& value) {
        reading_ = job_in_file(jobs_.size() + 1);
        if (value.kind != FileValue::Kind::table)
            fail(value.line, "a job is a table of options, and this is none");
        for (const auto& [name, member] : value.table)
            if (name == "name" && member.kind == FileValue::Kind::text && !member.text.empty())
                reading_ += " (" + printable(member.text, limits::name_chars) + ')';
        FileJob job;
        job.place = place_of(value.line);
        for (const auto& [name, member] : value.table) read_key(job, name, member);
        if (job.name.empty()) fail(value.line, "a job without a name: expected name = \"...\"");
        if (job.command.empty())
            fail(value.line, "the job " + in_quotes(job.name) + " has no command");
        const bool taken = !by_name_.emplace(job.name, jobs_.size()).second;
        if (taken) fail(value.line, "a second job with the name " + in_quotes(job.name));
        lines_.push_back(value.line);
        jobs_.push_back(std::move(job));
    }

    void read_key(FileJob& job, const std::string& written, const FileValue& value) {
        std::string name = written;
        std::replace(name.begin(), name.end(), '-', '_');
        const auto known = std::find_if(keys.begin(), keys.end(),
                                        [&](const Key& key) { return name == key.name; });
        if (known == keys.end()) fail_unknown(written, value.line);
        if (!fits(known->takes, value))
            fail(value.line, "wrong value for " + name + ": expected " + expectation(known->takes));
        if (name == "name") check_name(value);
        if (name == "name") job.name = value.text;
        if (name == "command") {
            job.shell = value.kind == FileValue::Kind::text;
            job.command = words(value);
            if (job.command[0].empty()) fail(value.line, "the command is empty");
        } else if (name == "items") {
            job.items = words(value);
            job.has_items = true;
        } else if (name == "after") {
            job.after = words(value);
        } else if (known->takes != Takes::toggle || value.text == "true") {
            std::replace(name.begin(), name.end(), '_', '-');
            auto& values = job.options[name];
            if (known->takes != Takes::toggle) values = words(value);
        }
    }

    [[noreturn]] void fail_unknown(const std::string& name, int line) const {
        std::vector<std::string> names;
        for (const auto& key : keys) names.emplace_back(key.name);
        const auto near = nearest(name, names);
        fail(line, "unknown key " + in_quotes(name) +
                       (near.empty() ? std::string() : ": did you mean " + near + "?"));
    }

    void check_name(const FileValue& value) const {
        const bool strange = value.text.empty() || value.text.find(':') != std::string::npos ||
                             printable(value.text, limits::text_chars) != value.text;
        if (strange || is_id(value.text))
            fail(value.line, "the name " + in_quotes(value.text) +
                                 " cannot be used: it must not be empty, a number alone or longer "
                                 "than " +
                                 std::to_string(limits::text_chars) +
                                 ", or hold a colon or a control character");
    }

    /// Tells names of this file from ids of jobs that are there already.
    void resolve_names() {
        for (std::size_t i = 0; i < jobs_.size(); ++i) {
            std::vector<std::string> names;
            for (auto& text : jobs_[i].after) {
                const std::string name(without_condition(text));
                if (is_id(name)) {
                    jobs_[i].options["after"].push_back(text);
                    continue;
                }
                if (!by_name_.contains(name)) fail_unknown_job(jobs_[i], lines_[i], name);
                names.push_back(std::move(text));
            }
            jobs_[i].after = std::move(names);
        }
    }

    [[noreturn]] void fail_unknown_job(const FileJob& job, int line,
                                       const std::string& name) const {
        std::vector<std::string> names;
        for (const auto& [known, index] : by_name_)
            if (known != job.name) names.push_back(known);
        const auto near = nearest(name, names);
        fail(line, "the job " + in_quotes(job.name) + " comes after " + in_quotes(name) +
                       ", and there is no such job in the file" +
                       (near.empty() ? std::string() : ": did you mean " + near + "?"));
    }

    std::size_t index_of(const std::string& after) const {
        return by_name_.at(std::string(without_condition(after)));
    }

    /// Those first that nothing in the file comes before; else as they are written.
    std::vector<FileJob> in_order() {
        std::vector<std::size_t> missing(jobs_.size());  // dependencies that are not placed yet
        std::vector<std::vector<std::size_t>> followers(jobs_.size());
        std::set<std::size_t> ready;
        for (std::size_t i = 0; i < jobs_.size(); ++i) {
            missing[i] = jobs_[i].after.size();
            for (const auto& name : jobs_[i].after) followers[index_of(name)].push_back(i);
            if (missing[i] == 0) ready.insert(i);
        }
        std::vector<std::size_t> order;
        while (!ready.empty()) {
            const auto next = *ready.begin();
            ready.erase(ready.begin());
            order.push_back(next);
            for (const auto follower : followers[next])
                if (--missing[follower] == 0) ready.insert(follower);
        }
        if (order.size() < jobs_.size()) fail_cycle(missing);
        std::vector<FileJob> sorted;
        for (const auto index : order) sorted.push_back(std::move(jobs_[index]));
        return sorted;
    }

    /// From a job that could not be placed back along others of the kind, until one comes again.
    [[noreturn]] void fail_cycle(const std::vector<std::size_t>& missing) const {
        const auto stuck = [&](std::size_t index) { return missing[index] > 0; };
        std::size_t index = 0;
        while (!stuck(index)) ++index;
        std::vector<std::size_t> path;
        while (std::find(path.begin(), path.end(), index) == path.end()) {
            path.push_back(index);
            for (const auto& name : jobs_[index].after)
                if (stuck(index_of(name))) {
                    index = index_of(name);
                    break;
                }
        }
        std::string circle = jobs_[index].name;
        for (auto it = std::find(path.begin(), path.end(), index) + 1; it != path.end(); ++it)
            circle += " after " + jobs_[*it].name;
        circle += " after " + jobs_[index].name;
        fail(lines_[index],
             "these jobs wait for one another: " + printable(circle, limits::text_chars));
    }

    std::string file_;
    std::string reading_;  // the job that is read now: "job 2 (film)"
    std::vector<FileJob> jobs_;
    std::vector<int> lines_;
    std::map<std::string, std::size_t> by_name_;
};

}  // namespace

std::vector<FileJob> parse_job_file(std::string_view text, std::string_view file_name) {
    const std::string name(file_name);
    if (text.size() > limits::job_file_bytes)
        throw SyntaxError(file_place(name, 0) + "longer than " +
                          format_size(static_cast<std::int64_t>(limits::job_file_bytes)) +
                          ": items belong into a file of their own (each_line)");
    constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
    if (text.substr(0, byte_order_mark.size()) == byte_order_mark)
        text.remove_prefix(byte_order_mark.size());
    const bool json = trim(text).substr(0, 1) == "{";
    return JobFileReader(name).read(json ? parse_json_file(text, name) : parse_toml(text, name));
}

}  // namespace rpic

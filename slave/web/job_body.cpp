#include "slave/web/job_body.hpp"

#include "common/file_error.hpp"
#include "common/glob.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"
#include "slave/web/json_body.hpp"

namespace rpic {

namespace {

void read_command(const json::value& value, JobSpec& spec) {
    if (const auto* line = value.if_string()) {
        spec.command = {"/bin/sh", "-c", std::string(*line)};
        spec.shell = true;
    } else {
        try {
            from_json(value, spec.command, "command");
        } catch (const BadMessageError& error) {
            throw ProblemError(400, error.what());
        }
    }
    // A line's last word is the line itself; a list may well end with an empty word.
    if (spec.command.empty() || spec.command.front().empty() ||
        (spec.shell && spec.command.back().empty()))
        throw ProblemError(400, "the command is empty: expected a list of words, or a line for sh");
}

std::string read_items(const json::object& body) {
    std::vector<std::string> items;
    take_member(body, "items", items);
    if (items.empty()) throw ProblemError(400, "the list of items is empty");
    std::string bytes;
    for (const auto& item : items) {
        if (item.size() > limits::item_bytes || item.find('\0') != std::string::npos)
            throw ProblemError(400, "the item \"" + printable(item, 40) + "\" is longer than " +
                                        format_size(limits::item_bytes) + " or holds a NUL");
        bytes += item;
        bytes += '\0';
    }
    return bytes;
}

/// Items that are too many for a body: a file that was sent before, which the master looks into.
void read_items_file(const json::object& body, JobSpec& spec) {
    if (!body.contains("items_file")) return;
    take_member(body, "items_file", spec.items);
    if (!is_blob_name(spec.items))
        throw ProblemError(400, "items_file: expected the SHA-256 of a file that was sent before");
    if (body.contains("items")) throw ProblemError(400, "a job has either `items` or `items_file`");
}

ManifestEntry read_file_entry(const json::value& value) {
    const auto* object = value.if_object();
    if (object == nullptr)
        throw ProblemError(400, "a file of in: expected {\"path\", \"file\", \"size\"}");
    check_members(*object, {"path", "file", "size", "mode"});
    ManifestEntry entry;
    std::int64_t mode = entry.mode;
    take_member(*object, "path", entry.path);
    take_member(*object, "file", entry.blob);
    take_member(*object, "size", entry.size);
    take_member(*object, "mode", mode);
    if (const auto problem = path_problem(entry.path); !problem.empty())
        throw ProblemError(400, "the path \"" + printable(entry.path, limits::log_text_chars) +
                                    "\" of in: it " + problem);
    if (!is_blob_name(entry.blob) || entry.size < 0 || mode < 0 || mode > 0777)
        throw ProblemError(400, "the file " + printable(entry.path, limits::log_text_chars) +
                                    " of in: expected the SHA-256 as `file`, `size` in bytes, and "
                                    "`mode` from 0 to 511");
    entry.mode = static_cast<int>(mode);
    return entry;
}

Manifest read_files(const json::value& value) {
    const auto* list = value.if_array();
    if (list == nullptr) throw ProblemError(400, "in: expected a list of files");
    Manifest manifest;
    for (const auto& file : *list) manifest.entries.push_back(read_file_entry(file));
    try {
        put_in_order(manifest);
        // What it would refuse on a node is refused here.
        return parse_manifest(format_manifest(manifest));
    } catch (const FileError& error) {
        throw ProblemError(400, std::string("in: ") + error.what());
    }
}

void read_limits(const json::object& body, JobSpec& spec) {
    take_member(body, "cpus", spec.cpus);
    if (body.contains("mem")) spec.memory_bytes = size_member(body, "mem");
    take_member(body, "resource", spec.resources);
    take_member(body, "where", spec.where);
    take_member(body, "priority", spec.priority);
    if (body.contains("time_limit"))
        spec.time_limit_seconds = to_seconds(duration_member(body, "time_limit"));
    take_member(body, "retries", spec.retries);
    take_member(body, "max_fails", spec.max_fails);
    take_member(body, "limit", spec.item_limit);
    spec.on_disconnect = "keep";
    take_member(body, "on_disconnect", spec.on_disconnect);
    if (body.contains("lost_after"))
        spec.lost_after_seconds = to_seconds(duration_member(body, "lost_after"));
}

}  // namespace

JobBody read_job(const json::object& body) {
    check_members(body, {"command",       "name",
                         "array",         "items",
                         "items_file",    "limit",
                         "cpus",          "mem",
                         "resource",      "where",
                         "priority",      "time_limit",
                         "retries",       "max_fails",
                         "after",         "in",
                         "in_arch",       "out",
                         "env",           "stdin",
                         "cwd",           "notify",
                         "hold",          "lost_after",
                         "on_disconnect", "idempotency_key"});
    JobBody job;
    auto& spec = job.spec;
    const auto* command = body.if_contains("command");
    if (command == nullptr) throw ProblemError(400, "a job needs a `command`");
    read_command(*command, spec);
    take_member(body, "name", spec.name);
    take_member(body, "array", spec.array);
    if (body.contains("items")) job.items = read_items(body);
    read_items_file(body, spec);
    read_limits(body, spec);
    take_member(body, "after", spec.after);
    take_member(body, "out", spec.out);
    for (const auto& glob : spec.out)
        if (const auto problem = glob_problem(glob); !problem.empty())
            throw ProblemError(
                400, "\"" + printable(glob, limits::log_text_chars) + "\" of out: it " + problem);
    take_member(body, "env", spec.env);
    take_member(body, "stdin", spec.stdin_blob);
    take_member(body, "cwd", spec.cwd);
    take_member(body, "notify", spec.notify);
    take_member(body, "hold", spec.held);
    take_member(body, "idempotency_key", spec.idempotency_key);
    if (const auto* in = body.if_contains("in")) job.in = read_files(*in);
    if (const auto* in_arch = body.if_contains("in_arch")) {
        const auto* table = in_arch->if_object();
        if (table == nullptr) throw ProblemError(400, "in_arch: expected {\"ARCH\": [files]}");
        for (const auto& member : *table)
            job.in_arch[std::string(member.key())] = read_files(member.value());
    }
    return job;
}

json::object job_spec_json(const JobSpec& spec) {
    auto object = to_json(spec).as_object();
    object["items"] = !spec.items.empty();
    object["limit"] = spec.item_limit;
    for (const char* name :
         {"item_limit", "in", "in_arch", "stdin_blob", "idempotency_key", "held"})
        object.erase(name);
    return object;
}

json::object task_json(const TaskView& task) {
    auto object = to_json(task).as_object();
    object["files"] = !task.files.empty();
    return object;
}

}  // namespace rpic

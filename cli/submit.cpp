#include "cli/submit.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/items.hpp"
#include "cli/job_file.hpp"
#include "cli/progress.hpp"
#include "cli/upload.hpp"
#include "common/errors.hpp"
#include "common/file_error.hpp"
#include "common/files.hpp"
#include "common/keys.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr int submit_attempts = 3;
constexpr Duration submit_patience = std::chrono::seconds(15);  // for the master to come back

/// The lines of a file, or of stdin.
void read_lines(const std::string& path, ItemList& items) {
    const bool own_stdin = path == "-";
    const int descriptor = own_stdin ? 0 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const auto fail = [&](int error) {
        if (!own_stdin && descriptor >= 0) ::close(descriptor);
        throw UsageError("cannot read " + (own_stdin ? std::string("stdin") : path) + ": " +
                         std::strerror(error));
    };
    if (descriptor < 0) fail(errno);
    std::string buffer(1024 * 1024, '\0');
    for (;;) {
        const auto count = ::read(descriptor, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail(errno);
        if (count == 0) break;
        items.feed_lines(std::string_view(buffer).substr(0, static_cast<std::size_t>(count)));
    }
    if (!own_stdin) ::close(descriptor);
    items.end_lines();
}

OnProgress shown_on(ProgressLine& line) {
    return [&line](const TransferProgress& progress) {
        line.show("sending " + transfer_text(progress.bytes_done, progress.bytes,
                                             progress.files_done, progress.files));
    };
}

/// What the names of the file's jobs became.
std::string with_id(const std::string& after, const std::map<std::string, std::string>& ids) {
    const auto colon = after.find(':');
    const auto kind = colon == std::string::npos ? std::string{} : after.substr(0, colon + 1);
    return kind + ids.at(after.substr(kind.size()));
}

JobOptions options_of(const FileJob& job) {
    JobOptions options;
    try {
        for (const auto& [name, values] : job.options) apply_job_option(options, name, values);
        options.spec.name = job.name;
        options.spec.command = job.command;
        if (job.shell) options.spec.command = {"/bin/sh", "-c", job.command.front()};
        options.spec.shell = job.shell;
        options.items = job.items;
        options.has_items = job.has_items;
        check_job_options(StartVerb::submit, options);
    } catch (const UsageError& error) {
        throw UsageError(job.place + ": " + error.what());
    }
    return options;
}

/// All that a job needs beside its description.
void upload_all(Client& client, JobOptions& options) {
    if (options.item_list()) {
        std::int64_t count = 0;
        options.spec.items = upload_items(client, options, count);
        if (count == 0)
            throw UsageError("there are no items in " +
                             (options.has_items ? "the list" : options.each_line));
    }
    upload_files(client, options);
}

/// The same for a job of a file, whose place a complaint names.
void upload_all(Client& client, const FileJob& job, JobOptions& options) {
    try {
        upload_all(client, options);
    } catch (const UsageError& error) {
        throw UsageError(job.place + ": " + error.what());
    } catch (const FileError& error) {
        throw FileError(error.code, job.place + ": " + error.what());
    }
}

}  // namespace

std::string upload_items(Client& client, const JobOptions& options, std::int64_t& count) {
    ItemList items;
    if (options.has_items)
        for (const auto& item : options.items) items.add(item);
    else
        read_lines(options.each_line, items);
    count = items.count();
    return count == 0 ? std::string{} : upload_bytes(client, items.bytes());
}

void upload_files(Client& client, JobOptions& options) {
    ProgressLine line;
    const auto progress = shown_on(line);
    auto& spec = options.spec;
    if (!options.in.empty()) spec.in = {upload_paths(client, options.in, progress)};
    for (const auto& [arch, path] : options.in_arch)
        spec.in_arch[arch] = upload_paths(client, {path}, progress);
    if (options.stdin_file == "-")
        spec.stdin_blob = upload_stream(client, 0, progress);
    else if (!options.stdin_file.empty())
        spec.stdin_blob = upload_file(client, options.stdin_file, progress);
}

Submitted submit_spec(Client& client, JobSpec spec) {
    if (spec.idempotency_key.empty()) spec.idempotency_key = random_hex(16);
    Submit request;
    request.spec = std::move(spec);
    for (int attempt = 1;; ++attempt) {
        try {
            auto answer = client.ask<Submitted>(request);
            if (!answer.warning.empty())
                std::fprintf(stderr, "rpicluster: %s\n", answer.warning.c_str());
            return answer;
        } catch (const UnreachableError&) {
            if (attempt == submit_attempts) throw;
            client.reconnect(submit_patience);
        }
    }
}

Submitted submit_job(Client& client, JobOptions options) {
    upload_all(client, options);
    return submit_spec(client, std::move(options.spec));
}

std::vector<Submitted> submit_job_file(Client& client, const JobOptions& options) {
    const auto text = read_file_if_there(options.job_file, limits::job_file_bytes);
    if (!text) throw UsageError("there is no file " + options.job_file);
    std::vector<FileJob> jobs;
    try {
        jobs = parse_job_file(*text, options.job_file);
    } catch (const SyntaxError& error) {
        throw UsageError(error.what());
    }
    // All of it is checked, and what travels along is sent, before the first of them is there: a
    // file that is missing is no reason to run half of the jobs.
    std::vector<JobOptions> all;
    for (const auto& job : jobs) all.push_back(options_of(job));
    for (std::size_t i = 0; i < jobs.size(); ++i) upload_all(client, jobs[i], all[i]);
    std::map<std::string, std::string> ids;
    std::vector<Submitted> answers;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        auto& spec = all[i].spec;
        for (const auto& after : jobs[i].after) spec.after.push_back(with_id(after, ids));
        if (!options.spec.idempotency_key.empty())
            spec.idempotency_key = options.spec.idempotency_key + "/" + jobs[i].name;
        answers.push_back(submit_spec(client, std::move(spec)));
        ids[jobs[i].name] = answers.back().job.id;
    }
    return answers;
}

}  // namespace rpic

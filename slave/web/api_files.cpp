#include <algorithm>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "common/utf8.hpp"
#include "slave/web/api_job.hpp"
#include "slave/web/handlers.hpp"
#include "slave/web/json_body.hpp"
#include "slave/web/transfer.hpp"

/// Files that travel along with a job, and those that come back.
namespace rpic::api {

namespace {

using Visit = MasterDesk::Visit;

awaitable<std::vector<std::string>> input_lists(Exchange& exchange, Visit& visit) {
    GetJob request;
    request.job = std::to_string(job_number(exchange));
    request.limit = 0;
    visit.send(std::move(request));
    auto reply = co_await visit.reply();
    auto detail = take_answer<JobDetail>(std::move(reply));
    for (bool more = true; more;) {
        reply = co_await visit.reply();
        more = take_answer<TaskList>(std::move(reply)).more;
    }
    co_return std::move(detail.spec.in);
}

awaitable<std::vector<std::string>> output_lists(Exchange& exchange, Visit& visit) {
    const auto task = co_await ask_task(exchange, visit);
    std::vector<std::string> lists;
    if (!task.files.empty()) lists.push_back(task.files);
    co_return lists;
}

json::object entry_json(const ManifestEntry& entry, const std::string& folder) {
    json::object object;
    object["path"] = entry.path;
    object["kind"] = entry.is_file() ? "file" : entry.folder ? "folder" : "link";
    object["size"] = entry.size;
    object["mode"] = entry.mode;
    object["link"] = as_utf8(entry.link);
    object["href"] = nullptr;
    if (entry.is_file()) object["href"] = folder + '/' + percent_encoded(entry.path, true);
    return object;
}

awaitable<Answer> list_files(Exchange& exchange, Visit& visit, std::vector<std::string> lists) {
    json::array files;
    bool more = false;
    for (const auto& list : lists) {
        const auto manifest = co_await get_manifest(visit, list);
        for (const auto& entry : manifest.entries) {
            if (!is_utf8(entry.path)) continue;
            more = files.size() >= limits::web_files_listed;
            if (more) break;
            files.push_back(entry_json(entry, exchange.request.path));
        }
    }
    json::object object;
    object["version"] = 1;
    object["files"] = std::move(files);
    object["more"] = more;
    co_return json_answer(json::serialize(object));
}

/// What follows an attachment is shown by no browser, whatever it holds.
Answer file_head(const ManifestEntry& entry) {
    Answer head;
    const auto slash = entry.path.rfind('/');
    const auto name = slash == std::string::npos ? entry.path : entry.path.substr(slash + 1);
    head.fields.emplace_back("Content-Type", "application/octet-stream");
    head.fields.emplace_back("Cache-Control", "no-cache, private");
    head.fields.emplace_back("Content-Disposition",
                             "attachment; filename*=UTF-8''" + percent_encoded(name, false));
    head.fields.emplace_back("ETag", '"' + entry.blob + '"');
    return head;
}

awaitable<Answer> send_file(Exchange& exchange, Visit& visit, std::vector<std::string> lists) {
    const auto& path = exchange.parameter("path");
    ManifestEntry found;
    for (const auto& list : lists) {
        const auto manifest = co_await get_manifest(visit, list);
        for (const auto& entry : manifest.entries)
            if (entry.path == path && entry.is_file()) found = entry;
    }
    if (!found.is_file())
        throw ProblemError(404, "there is no file \"" + printable(path, limits::log_text_chars) +
                                    "\" here: the same URL without it lists those that are");
    auto head = file_head(found);
    if (etag_matches(exchange.request.if_none_match, '"' + found.blob + '"')) {
        head.status = 304;
        co_return head;
    }
    co_await send_blob(visit, exchange, found.blob, std::move(head));
    Answer answer;
    answer.sent = true;
    co_return answer;
}

/// Browsers send all of a body before they look at the answer; if the connection were closed
/// meanwhile, they would see an error instead. Who waits to be told to go on need not send it.
awaitable<void> skip_body(Exchange& exchange) {
    if (exchange.request.expects_continue) co_return;
    for (;;) {
        const auto part = co_await exchange.wire.body_part(limits::chunk_bytes);
        if (part.empty()) co_return;
    }
}

}  // namespace

awaitable<Answer> list_input_files(Exchange& exchange) {
    auto visit = co_await exchange.visit();
    auto lists = co_await input_lists(exchange, *visit);
    Answer answer = co_await list_files(exchange, *visit, std::move(lists));
    co_return answer;
}

awaitable<Answer> get_input_file(Exchange& exchange) {
    auto visit = co_await exchange.visit();
    auto lists = co_await input_lists(exchange, *visit);
    Answer answer = co_await send_file(exchange, *visit, std::move(lists));
    co_return answer;
}

awaitable<Answer> list_output_files(Exchange& exchange) {
    auto visit = co_await exchange.visit();
    auto lists = co_await output_lists(exchange, *visit);
    Answer answer = co_await list_files(exchange, *visit, std::move(lists));
    co_return answer;
}

awaitable<Answer> get_output_file(Exchange& exchange) {
    auto visit = co_await exchange.visit();
    auto lists = co_await output_lists(exchange, *visit);
    Answer answer = co_await send_file(exchange, *visit, std::move(lists));
    co_return answer;
}

awaitable<Answer> put_file(Exchange& exchange) {
    const auto& blob = exchange.parameter("file");
    if (!is_blob_name(blob))
        throw ProblemError(400,
                           "a file is named by the SHA-256 of its contents, 64 lower-case hex "
                           "digits: sha256sum prints it");
    const auto size = static_cast<std::int64_t>(exchange.request.content_length.value_or(0));
    auto visit = co_await exchange.visit();
    const bool fresh = co_await put_body(*visit, exchange, blob, size);
    visit.reset();
    if (!fresh) co_await skip_body(exchange);
    json::object object;
    object["version"] = 1;
    object["file"] = blob;
    object["size"] = size;
    co_return json_answer(json::serialize(object), fresh ? 201 : 200);
}

}  // namespace rpic::api

#pragma once

#include <boost/asio/io_context.hpp>
#include <fstream>
#include <optional>

#include "common/output.hpp"
#include "common/sha256.hpp"
#include "master/store.hpp"
#include "test/async/loopback.hpp"
#include "test/temporary_folder.hpp"

namespace rpic::test {

/// Runs one coroutine on the loop and gives what it returns.
template <class Answer>
Answer get(asio::io_context& io, asio::awaitable<Answer> work) {
    std::optional<Answer> answer;
    run_all(
        io,
        [](asio::awaitable<Answer> awaited, std::optional<Answer>& out) -> asio::awaitable<void> {
            out = co_await std::move(awaited);
        }(std::move(work), answer));
    return std::move(*answer);
}

/// A store on a folder of its own, which can be closed and opened again.
struct StoreWorld {
    StoreWorld() { open(); }

    void open() {
        store.emplace(io.get_executor(), folder.path() / "store.db");
        contents = store->load();
    }
    void reopen() {
        store.reset();
        open();
    }
    void commit(StoreBatch batch) { run_all(io, store->commit(std::move(batch))); }

    /// Puts a file where the store looks for blobs; gives its name.
    std::string put_blob(std::string_view bytes) {
        const auto blob = sha256_hex(bytes);
        const auto path = folder.path() / "blobs" / blob.substr(0, 2) / blob.substr(2);
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << bytes;
        return blob;
    }

    std::string text_of_output(JobId job, Position position) {
        return get(io, store->output(job, position, 0, 1 << 20)).bytes;
    }

    TemporaryFolder folder;
    asio::io_context io;
    std::optional<Store> store;
    Store::Contents contents;
};

inline PutJob new_job(JobId id, std::int64_t size = 1) {
    PutJob job;
    job.status.id = id;
    job.status.size = size;
    job.status.submitter = "ann";
    JobSpec spec;
    spec.name = "job " + std::to_string(id);
    spec.command = {"echo", "größe"};
    spec.env["A"] = "b";
    job.spec = std::make_shared<JobSpec>(std::move(spec));
    return job;
}

inline PutTask begun(JobId job, Position position, std::int64_t attempt = 1) {
    PutTask task;
    task.record.job = job;
    task.record.position = position;
    task.record.last_attempt = attempt;
    task.record.live = {{attempt, "0123456789abcdef0123456789abcdef", 1'772'366'400}};
    return task;
}

inline PutResult ended(JobId job, Position position, std::string output = {},
                       std::string state = "done") {
    PutResult put;
    put.result.job = job;
    put.result.position = position;
    put.result.state = std::move(state);
    put.result.node = "pi-04";
    put.result.attempt = 1;
    put.result.exit_code = put.result.state == "done" ? 0 : 1;
    put.result.started_at_ms = 1'772'366'400'000 + position;
    put.result.duration_seconds = 0.002;
    put.result.cpu_seconds = 0.001;
    put.result.max_rss_bytes = 1'712 * 1024;
    put.result.output_bytes = static_cast<std::int64_t>(output.size());
    put.output = std::move(output);
    return put;
}

}  // namespace rpic::test

#include <sqlite3.h>

#include <fstream>
#include <iterator>
#include <memory>

#include "common/limits.hpp"
#include "master/core/cluster.hpp"
#include "master/core/jobs.hpp"
#include "master/core/keyring.hpp"
#include "master/store/store_files.hpp"
#include "test/fuzz/targets.hpp"
#include "test/temporary_folder.hpp"

namespace rpic::fuzz {

namespace {

using test::read_text;

PutJob new_job(JobId id, std::int64_t size) {
    PutJob job;
    job.status.id = id;
    job.status.size = size;
    job.status.submitter = "ann";
    JobSpec spec;
    spec.name = "frames";
    spec.command = {"./render", "{}"};
    spec.where = "arch==arm64";
    job.spec = std::make_shared<JobSpec>(std::move(spec));
    return job;
}

PutResult ended(JobId job, Position position, std::string output) {
    PutResult put;
    put.result.job = job;
    put.result.position = position;
    put.result.state = position % 2 == 0 ? "done" : "failed";
    put.result.node = "pi1";
    put.result.attempt = 1;
    put.result.exit_code = position;
    put.result.started_at_ms = 1'772'366'400'000;
    put.result.duration_seconds = 0.5;
    put.result.output_bytes = static_cast<std::int64_t>(output.size());
    put.output = std::move(output);
    return put;
}

StoreBatch some_of_everything() {
    StoreBatch batch;
    KeyRecord key;
    key.identity = "0123456789abcdef";
    key.key = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
    key.role = "node";
    batch.emplace_back(PutKey{key});
    NodeRecord node;
    node.id = "0123456789abcdef0123456789abcdef";
    node.name = "pi1";
    node.role = "worker";
    batch.emplace_back(PutNode{node});
    for (JobId id = 1; id <= 3; ++id) batch.emplace_back(new_job(id, id * 3));
    for (Position position = 0; position < 3; ++position)
        batch.emplace_back(ended(3, position, "output of a task"));
    auto finished = new_job(1, 3).status;
    finished.ended = true;
    finished.done = 3;
    batch.emplace_back(PutJobStatus{finished});
    PutTask task;
    task.record.job = 3;
    task.record.position = 5;
    task.record.last_attempt = 1;
    task.record.live = {{1, node.id, 1'772'366'400}};
    batch.emplace_back(task);
    batch.emplace_back(SetMeta{meta_next_job, 4});
    return batch;
}

/// A store as a power cut leaves it, with all in its log, and as an orderly end does.
struct Stores {
    Stores() {
        const test::TemporaryFolder folder;
        const auto file = folder.path() / "store.db";
        std::vector<std::string> warnings;
        {
            StoreFiles store(file, {});
            store.commit(some_of_everything(), warnings);
            torn = read_text(file);
            torn_log = read_text(file.string() + "-wal");
        }
        closed = read_text(file);
    }
    std::string torn;
    std::string torn_log;
    std::string closed;
};

/// Overwrites bytes: places of two bytes each, with a length and as many bytes behind them.
void damage(std::string& file, std::string_view input) {
    while (input.size() > 3 && !file.empty()) {
        const std::size_t high = take_byte(input);
        const std::size_t low = take_byte(input);
        const std::size_t wanted = take_byte(input) % 32 + 1;
        const std::size_t at = (high << 8 | low) * 3 % file.size();
        const auto size = std::min(wanted, input.size());
        file.replace(at, std::min(size, file.size() - at), input.substr(0, size));
        input.remove_prefix(size);
    }
}

/// Puts bytes into one field of every row of a table: what damage that SQLite cannot see may do.
void replace_field(const std::filesystem::path& file, std::string_view input) {
    static constexpr const char* changes[] = {
        "UPDATE keys SET record = ?1",       "UPDATE nodes SET record = ?1",
        "UPDATE jobs SET status = ?1",       "UPDATE specs SET spec = ?1",
        "UPDATE tasks SET line = ?1",        "UPDATE results SET lines = ?1",
        "UPDATE jobs SET id = ?1 + id",      "UPDATE tasks SET id = ?1 + id",
        "UPDATE results SET id = ?1 + id",   "UPDATE results SET high = ?1",
        "UPDATE results SET low = ?1",       "UPDATE meta SET value = ?1",
        "UPDATE specs SET id = ?1 + id",     "UPDATE jobs SET ended_at = ?1",
        "UPDATE results SET outputs = ?1",   "INSERT INTO dropped VALUES (?1)",
        "UPDATE results SET blob_bytes = ?1"};
    const char* change = changes[take_byte(input) % std::size(changes)];
    sqlite3* database = nullptr;
    sqlite3_stmt* statement = nullptr;
    sqlite3_open(file.c_str(), &database);
    sqlite3_prepare_v2(database, change, -1, &statement, nullptr);
    sqlite3_bind_text64(statement, 1, input.data(), input.size(), SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
    sqlite3_close(database);
}

/// As the master's Context does at its start.
void restore(StoreContents contents) {
    const Instant start{std::chrono::hours(1)};
    Cluster cluster({limits::suspect_after, limits::lost_after, limits::lost_after_master_start},
                    start);
    Jobs jobs(cluster, {start, contents.epoch, contents.next_job, limits::lost_after_master_start});
    Keyring keyring;
    for (auto& record : contents.keys) keyring.add(std::move(record));
    for (auto& record : contents.nodes) cluster.restore(std::move(record));
    for (auto& job : contents.jobs)
        jobs.restore(std::move(job.status), std::move(job.spec), std::move(job.states),
                     job.highest_attempt);
    for (const auto& task : contents.tasks) jobs.restore(task);
    cluster.set_listener(&jobs);
    Effects effects;
    jobs.restored({start, 0}, effects);
    jobs.on_tick({start + std::chrono::hours(1), 0}, effects);
    jobs.place({start, 0}, effects);
    for (const auto& [id, job] : jobs.all()) jobs.view(*job);
}

void use(const std::filesystem::path& file) {
    StoreFiles store(file, {});
    auto contents = store.load();
    std::vector<JobId> ids;
    for (const auto& job : contents.jobs) ids.push_back(job.status.id);
    for (const auto id : ids) {
        for (const auto& result : store.results(id, -1, 100))
            expect(result.position >= 0, "a result of no task");
        store.output(id, 0, 0, 100);
    }
    restore(std::move(contents));
    store.ended_jobs();
    store.blobs_in_use();
    std::vector<std::string> warnings;
    StoreBatch batch;
    batch.emplace_back(new_job(9, 1));
    batch.emplace_back(ended(3, 4, "more"));
    store.commit(batch, warnings);
    while (store.tidy_some()) continue;
}

}  // namespace

/// A damaged store is refused in words, or it is one. The first byte says what is damaged.
void fuzz_store(std::string_view input) {
    static const Stores stores;
    static const test::TemporaryFolder folder(std::filesystem::temp_directory_path());
    const auto file = folder.path() / "store.db";
    const auto log = file.string() + "-wal";
    std::filesystem::remove_all(folder.path() / "outputs");
    std::filesystem::remove(file.string() + "-journal");
    std::filesystem::remove(log);
    const unsigned which = take_byte(input) % 4;
    std::string bytes = which < 2 ? stores.closed : stores.torn;
    std::string log_bytes = which < 2 ? "" : stores.torn_log;
    if (which == 1) damage(bytes, input);
    if (which == 2) damage(log_bytes, input);
    if (which == 3) log_bytes.resize(log_bytes.size() * take_byte(input) / 255);
    if (which == 3) damage(bytes, input);
    test::write_text(file, bytes);
    if (!log_bytes.empty()) test::write_text(log, log_bytes);
    if (which == 0) replace_field(file, input);
    try {
        use(file);
    } catch (const std::runtime_error& error) {
        expect_one_line(error.what());
    }
}

}  // namespace rpic::fuzz

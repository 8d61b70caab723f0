#include "master/store/sqlite_database.hpp"

#include "common/json.hpp"
#include "common/limits.hpp"
#include "master/store/lines.hpp"
#include "master/store/stored_job.hpp"

namespace rpic {

namespace {

constexpr int position_bits = 21;
static_assert(limits::tasks_per_job <= std::int64_t{1} << position_bits);

/// That a job can have: so that they can be added up, whatever a damaged store says.
constexpr std::int64_t most_output_bytes =
    limits::tasks_per_job * std::int64_t{limits::output_bytes};

std::int64_t task_row(JobId job, Position position) {
    return job << position_bits | position;
}

std::int64_t result_row(JobId job, std::int64_t number) {
    return job << result_number_bits | number;
}

/// Numbers of a job's result rows, first and last that there can be.
std::int64_t first_row(JobId job) {
    return result_row(job, 0);
}
std::int64_t last_row(JobId job) {
    return result_row(job + 1, 0) - 1;
}

/// Members with their default value are left out: most of a job's spec is. So a default is part of
/// the store's format.
template <class Record>
std::string text_of(const Record& record) {
    static const json::object defaults = to_json(Record{}).as_object();
    auto value = to_json(record);
    auto& object = value.as_object();
    for (const auto& member : defaults)
        if (object.at(member.key()) == member.value()) object.erase(member.key());
    return json::serialize(value);
}

template <class Record>
void read_record(std::string_view text, Record& record) {
    unsigned char buffer[8 * 1024];
    json::monotonic_resource memory(buffer, sizeof buffer);
    const auto value = json::parse(json::string_view(text), &memory);
    from_json(value, record, "record");
}

template <class Record>
std::vector<Record> read_records(sqlite3* database, const char* sql) {
    std::vector<Record> records;
    Statement statement(database, sql);
    while (statement.step()) read_record(statement.view(0), records.emplace_back());
    return records;
}

}  // namespace

SqliteDatabase::Kept::Kept(sqlite3* database)
    : begin(database, "BEGIN IMMEDIATE"),
      commit(database, "COMMIT"),
      put_task(database, "INSERT OR REPLACE INTO tasks VALUES (?, ?)"),
      drop_task(database, "DELETE FROM tasks WHERE id = ?"),
      put_job(database, "INSERT OR REPLACE INTO jobs (id, status) VALUES (?, ?)"),
      put_spec(database, "INSERT OR REPLACE INTO specs VALUES (?, ?)"),
      put_status(database,
                 "UPDATE jobs SET status = ?2, ended_at = CASE WHEN ?3 THEN ended_at END,"
                 " output_bytes = CASE WHEN ?3 THEN output_bytes END WHERE id = ?1"),
      put_results(database, "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)"),
      last_result(database, "SELECT max(id) FROM results WHERE id BETWEEN ? AND ?"),
      lines(database, "SELECT lines FROM results WHERE id = ?") {}

SqliteDatabase::SqliteDatabase(const std::filesystem::path& file) : database_(open_file(file)) {
    auto* database = database_.get();
    // Each commit writes whole pages, mostly of a few short rows: small pages halve what a memory
    // card has to bear. (A store made with others keeps them.)
    execute(database, "PRAGMA page_size=1024");
    // A small page cache: the master keeps its state in memory, not SQLite.
    execute(database, "PRAGMA cache_size=-1024");
    // No other process may open it meanwhile; so the log's index is in memory, not in a third file.
    execute(database, "PRAGMA locking_mode=EXCLUSIVE");
    execute(database, "PRAGMA journal_mode=WAL");
    execute(database, "PRAGMA synchronous=FULL");
    execute(database, "PRAGMA secure_delete=FAST");
    // The log is brought into the database after 4 MiB, and kept at that size.
    execute(database, "PRAGMA wal_autocheckpoint=4000");
    execute(database, "PRAGMA journal_size_limit=8388608");
    migrate(database);
    kept_ = std::make_unique<Kept>(database);
}

SqliteDatabase::~SqliteDatabase() {
    end_copy();
}

StoreContents SqliteDatabase::load() {
    StoreContents contents;
    auto* database = database_.get();
    Statement cluster(database, "SELECT value FROM meta WHERE name = 'cluster'");
    if (cluster.step()) contents.cluster = cluster.text(0);
    contents.epoch = number(meta_epoch, 1);
    contents.next_job = number(meta_next_job, 1);
    contents.keys = read_records<KeyRecord>(database, "SELECT record FROM keys");
    contents.nodes = read_records<NodeRecord>(database, "SELECT record FROM nodes");
    Statement jobs(database, "SELECT jobs.id, status, spec FROM jobs JOIN specs USING (id)");
    while (jobs.step()) {
        auto& job = contents.jobs.emplace_back();
        read_record(jobs.view(1), job.status);
        job.status.id = jobs.number(0);
        auto spec = std::make_shared<JobSpec>();
        read_record(jobs.view(2), *spec);
        job.spec = std::move(spec);
        check_stored(job);
        if (!job.status.ended) read_states(job);
        contents.next_job = std::max(contents.next_job, job.status.id + 1);
    }
    check_stored_counters(contents);
    Statement tasks(database, "SELECT id, line FROM tasks");
    while (tasks.step()) {
        const auto id = tasks.number(0);
        const auto position = id & ((std::int64_t{1} << position_bits) - 1);
        contents.tasks.push_back(task_of_line(id >> position_bits, position, tasks.view(1)));
    }
    return contents;
}

void SqliteDatabase::read_states(StoredJob& job) {
    const auto id = job.status.id;
    auto& states = job.states;
    Statement rows(database_.get(),
                   "SELECT high, lines FROM results WHERE id BETWEEN ? AND ? ORDER BY id");
    rows.bind(1, first_row(id)).bind(2, last_row(id));
    while (rows.step()) {
        const auto high = rows.number(0);
        if (high < 0 || high >= job.status.size)
            throw std::runtime_error("a result of a task that cannot be");
        if (static_cast<std::size_t>(high) >= states.size())
            states.resize(static_cast<std::size_t>(high) + 1, state_without_result(job.status));
        ResultLineReader lines(id, rows.view(1));
        ResultEnd end;
        while (lines.next_end(end)) {
            if (end.position < 0 || end.position > high)
                throw std::runtime_error("a result in the wrong row");
            states[static_cast<std::size_t>(end.position)] =
                state_after_result(job.status, end.state, end.round);
            job.highest_attempt = std::max(job.highest_attempt, end.attempt);
        }
    }
}

void SqliteDatabase::begin(bool secure) {
    // Overwriting what is deleted costs writes, and only keys are worth them.
    if (secure) execute(database_.get(), "PRAGMA secure_delete=ON");
    secure_ = secure;
    kept_->begin.run();
}

void SqliteDatabase::commit() {
    kept_->commit.run();
    if (!secure_) return;
    execute(database_.get(), "PRAGMA secure_delete=FAST");
    // The log still has the pages as they were: what was deleted is gone once it is empty.
    execute(database_.get(), "PRAGMA wal_checkpoint(TRUNCATE)");
    secure_ = false;
}

void SqliteDatabase::put(const StoreOperation& operation) {
    std::visit(
        [this](const auto& one) {
            using Operation = std::decay_t<decltype(one)>;
            constexpr bool elsewhere =
                std::is_same_v<Operation, PutResult> || std::is_same_v<Operation, PutSecretFile>;
            if constexpr (!elsewhere) put(one);
        },
        operation);
}

void SqliteDatabase::put(const PutKey& key) {
    const auto text = text_of(key.record);
    Statement(database_.get(), "INSERT OR REPLACE INTO keys VALUES (?, ?)")
        .bind(1, key.record.identity)
        .bind(2, text)
        .run();
}

void SqliteDatabase::put(const DropKey& key) {
    Statement(database_.get(), "DELETE FROM keys WHERE identity = ?").bind(1, key.identity).run();
}

void SqliteDatabase::put(const PutNode& node) {
    const auto text = text_of(*node.record);
    Statement(database_.get(), "INSERT OR REPLACE INTO nodes VALUES (?, ?)")
        .bind(1, node.record->id)
        .bind(2, text)
        .run();
}

void SqliteDatabase::put(const DropNode& node) {
    Statement(database_.get(), "DELETE FROM nodes WHERE id = ?").bind(1, node.id).run();
}

void SqliteDatabase::put(const PutJob& job) {
    const auto status = text_of(job.status);
    const auto spec = text_of(*job.spec);
    kept_->put_job.bind(1, job.status.id).bind(2, status).run();
    kept_->put_spec.bind(1, job.status.id).bind(2, spec).run();
}

void SqliteDatabase::put(const PutJobStatus& job) {
    const auto status = text_of(job.status);
    kept_->put_status.bind(1, job.status.id)
        .bind(2, status)
        .bind(3, std::int64_t{job.status.ended})
        .run();
}

void SqliteDatabase::put(const DropJobs& jobs) {
    auto* database = database_.get();
    Statement job(database, "DELETE FROM jobs WHERE id = ?");
    Statement spec(database, "DELETE FROM specs WHERE id = ?");
    Statement tasks(database, "DELETE FROM tasks WHERE id BETWEEN ? AND ?");
    Statement dropped(database, "INSERT OR IGNORE INTO dropped VALUES (?)");
    for (const auto id : jobs.ids) {
        job.bind(1, id).run();
        spec.bind(1, id).run();
        tasks.bind(1, task_row(id, 0)).bind(2, task_row(id + 1, 0) - 1).run();
        dropped.bind(1, id).run();
    }
}

void SqliteDatabase::put(const PutTask& task) {
    const auto line = task_line(task.record);
    kept_->put_task.bind(1, task_row(task.record.job, task.record.position))
        .bind_blob(2, line)
        .run();
}

void SqliteDatabase::put(const DropTask& task) {
    kept_->drop_task.bind(1, task_row(task.job, task.position)).run();
}

void SqliteDatabase::put(const SetMeta& meta) {
    const auto value = std::to_string(meta.value);
    Statement(database_.get(), "INSERT OR REPLACE INTO meta VALUES (?, ?)")
        .bind(1, meta.name)
        .bind(2, value)
        .run();
}

void SqliteDatabase::put_results(const ResultRow& row) {
    if (row.number >> result_number_bits != 0)
        throw std::runtime_error("job " + std::to_string(row.job) + " has too many results");
    auto& statement = kept_->put_results;
    statement.bind(1, result_row(row.job, row.number)).bind(2, row.low).bind(3, row.high);
    if (row.blob_bytes)
        statement.bind(4, *row.blob_bytes);
    else
        statement.bind_null(4);
    statement.bind_blob(5, row.lines);
    if (row.outputs.empty())
        statement.bind_null(6);
    else
        statement.bind_blob(6, row.outputs);
    statement.run();
}

void SqliteDatabase::mark_ended(JobId job, std::int64_t at, std::int64_t output_bytes) {
    Statement(database_.get(),
              "UPDATE jobs SET ended_at = coalesce(ended_at, ?2), output_bytes = ?3 WHERE id = ?1")
        .bind(1, job)
        .bind(2, at)
        .bind(3, output_bytes)
        .run();
}

std::int64_t SqliteDatabase::number(const std::string& name, std::int64_t otherwise) {
    Statement query(database_.get(), "SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?");
    return query.bind(1, name).step() ? query.number(0) : otherwise;
}

std::uint64_t SqliteDatabase::rows_changed() const {
    return static_cast<std::uint64_t>(sqlite3_total_changes64(database_.get()));
}

std::vector<EndedJob> SqliteDatabase::ended_jobs(std::int64_t now) {
    std::vector<EndedJob> ended;
    Statement query(database_.get(),
                    "SELECT id, ended_at, output_bytes FROM jobs WHERE ended_at IS NOT NULL");
    while (query.step()) {
        const auto at = std::clamp<std::int64_t>(query.number(1), 0, now);
        const auto bytes = std::clamp<std::int64_t>(query.number(2), 0, most_output_bytes);
        ended.push_back({query.number(0), now - at, bytes});
    }
    return ended;
}

std::unique_ptr<Database> open_sqlite(const std::filesystem::path& file) {
    return std::make_unique<SqliteDatabase>(file);
}

SqliteDatabase::Totals SqliteDatabase::totals(JobId job) {
    Totals totals;
    auto& last = kept_->last_result;
    last.bind(1, first_row(job)).bind(2, last_row(job)).step();
    const auto row = last.number(0);
    last.reset();
    if (row == 0) return totals;
    totals.last_number = row - first_row(job);
    Statement sums(database_.get(),
                   "SELECT total(length(outputs)), total(blob_bytes) FROM results"
                   " WHERE id BETWEEN ? AND ?");
    sums.bind(1, first_row(job)).bind(2, last_row(job)).step();
    totals.output_bytes = sums.number(0);
    totals.blob_bytes = sums.number(1);
    return totals;
}

std::vector<ResultRange> SqliteDatabase::ranges(JobId job) {
    std::vector<ResultRange> ranges;
    Statement rows(database_.get(), "SELECT id, low, high FROM results WHERE id BETWEEN ? AND ?");
    rows.bind(1, first_row(job)).bind(2, last_row(job));
    while (rows.step())
        ranges.push_back({rows.number(0) - first_row(job),
                          static_cast<std::int32_t>(rows.number(1)),
                          static_cast<std::int32_t>(rows.number(2))});
    return ranges;
}

std::string SqliteDatabase::lines(JobId job, std::int64_t number) {
    auto& query = kept_->lines;
    std::string lines;
    if (query.bind(1, result_row(job, number)).step()) lines = query.text(0);
    query.reset();
    return lines;
}

std::string SqliteDatabase::outputs(JobId job, std::int64_t number, std::int64_t offset,
                                    std::int64_t size) {
    Statement query(database_.get(), "SELECT substr(outputs, ?, ?) FROM results WHERE id = ?");
    query.bind(1, offset + 1).bind(2, size).bind(3, result_row(job, number));
    return query.step() ? query.text(0) : std::string{};
}

void SqliteDatabase::visit_blobs(const std::function<void(JobId, std::string_view)>& visit) {
    Statement rows(database_.get(), "SELECT id, lines FROM results WHERE blob_bytes IS NOT NULL");
    while (rows.step()) visit(rows.number(0) >> result_number_bits, rows.view(1));
}

void SqliteDatabase::visit_specs(const std::function<void(JobId, const JobSpec&)>& visit) {
    Statement rows(database_.get(), "SELECT id, spec FROM specs");
    while (rows.step()) {
        JobSpec spec;
        read_record(rows.view(1), spec);
        visit(rows.number(0), spec);
    }
}

std::optional<JobId> SqliteDatabase::dropped_job() {
    // An id that no job can have would lead to the rows of another one.
    Statement query(database_.get(), "SELECT min(id) FROM dropped WHERE id BETWEEN 1 AND ?");
    query.bind(1, highest_job).step();
    const auto id = query.number(0);
    if (id == 0) return std::nullopt;
    return id;
}

bool SqliteDatabase::delete_some(JobId job) {
    Statement rows(database_.get(),
                   "DELETE FROM results WHERE id IN"
                   " (SELECT id FROM results WHERE id BETWEEN ? AND ? LIMIT 256)");
    rows.bind(1, first_row(job)).bind(2, last_row(job)).run();
    return sqlite3_changes(database_.get()) > 0;
}

void SqliteDatabase::forget_dropped(JobId job) {
    Statement(database_.get(), "DELETE FROM dropped WHERE id = ?").bind(1, job).run();
}

}  // namespace rpic

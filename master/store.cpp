#include "master/store.hpp"

#include <sqlite3.h>

#include <boost/asio/post.hpp>
#include <stdexcept>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/json.hpp"
#include "common/keys.hpp"
#include "common/log.hpp"

namespace rpic {

namespace {

/// Each step brings a store from version N to N + 1 (PRAGMA user_version). Steps are only ever
/// added.
constexpr const char* migrations[] = {
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE keys (identity TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE nodes (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;",
};
constexpr int newest_version = static_cast<int>(std::size(migrations));

[[noreturn]] void fail(sqlite3* database) {
    throw std::runtime_error(sqlite3_errmsg(database));
}

/// A prepared statement with text parameters.
class Statement {
  public:
    Statement(sqlite3* database, const char* sql) : database_(database) {
        if (sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr) != SQLITE_OK)
            fail(database);
    }
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    Statement& bind(int place, const std::string& text) {
        const auto size = static_cast<int>(text.size());
        if (sqlite3_bind_text(statement_, place, text.data(), size, SQLITE_TRANSIENT) != SQLITE_OK)
            fail(database_);
        return *this;
    }

    /// Whether there is a row (more).
    bool step() {
        const int result = sqlite3_step(statement_);
        if (result != SQLITE_ROW && result != SQLITE_DONE) fail(database_);
        return result == SQLITE_ROW;
    }

    std::string text(int column) const {
        const auto* text = sqlite3_column_text(statement_, column);
        const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
        return text == nullptr ? std::string{}
                               : std::string(reinterpret_cast<const char*>(text), size);
    }
    int number(int column) const { return sqlite3_column_int(statement_, column); }

  private:
    sqlite3* database_;
    sqlite3_stmt* statement_ = nullptr;
};

template <class Record>
std::vector<Record> read_records(sqlite3* database, const char* sql) {
    std::vector<Record> records;
    Statement statement(database, sql);
    while (statement.step())
        from_json(json::parse(statement.text(0)), records.emplace_back(), "record");
    return records;
}

template <class Record>
std::string text_of(const Record& record) {
    return json::serialize(to_json(record));
}

}  // namespace

void Store::CloseDatabase::operator()(sqlite3* database) const {
    sqlite3_close(database);
}

Store::Store(asio::any_io_executor executor, const std::filesystem::path& file)
    : executor_(executor), progress_(std::make_shared<Progress>(executor)) {
    sqlite3* database = nullptr;
    const int result = sqlite3_open_v2(
        file.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
        nullptr);
    database_.reset(database);
    try {
        if (result != SQLITE_OK) fail(database);
        // A small page cache: the master keeps its state in memory, not SQLite.
        execute("PRAGMA cache_size=-512");
        execute("PRAGMA journal_mode=WAL");
        execute("PRAGMA synchronous=FULL");
        execute("PRAGMA secure_delete=ON");  // dropped keys do not stay in free pages
        Statement version_query(database, "PRAGMA user_version");
        version_query.step();
        const int version = version_query.number(0);
        if (version > newest_version)
            throw std::runtime_error("it was written by a newer version of rpicluster");
        for (int step = version; step < newest_version; ++step) {
            execute("BEGIN IMMEDIATE");
            execute(migrations[step]);
            execute(("PRAGMA user_version=" + std::to_string(step + 1)).c_str());
            if (step == 0)
                Statement(database, "INSERT INTO meta VALUES ('cluster', ?)")
                    .bind(1, random_hex(16))
                    .step();
            execute("COMMIT");
        }
    } catch (const std::runtime_error& error) {
        throw ConfigError("cannot use the store " + file.string() + ": " + error.what() +
                          "; put a good copy there, or move it away to start anew");
    }
    thread_ = std::thread([this] { work(); });
}

Store::~Store() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_one();
    if (thread_.joinable()) thread_.join();
}

Store::Contents Store::load() {
    try {
        Contents contents;
        Statement cluster(database_.get(), "SELECT value FROM meta WHERE name = 'cluster'");
        if (cluster.step()) contents.cluster = cluster.text(0);
        contents.keys = read_records<KeyRecord>(database_.get(), "SELECT record FROM keys");
        contents.nodes = read_records<NodeRecord>(database_.get(), "SELECT record FROM nodes");
        return contents;
    } catch (const std::exception& error) {
        throw ConfigError(std::string("the store is damaged: ") + error.what() +
                          "; put a good copy of store.db there, or move it away to start anew");
    }
}

asio::awaitable<void> Store::commit(StoreBatch batch) {
    if (batch.empty()) co_return;
    const auto number = enqueue(std::move(batch));
    const auto progress = progress_;
    auto seen = progress->changed.count();
    while (progress->committed < number) seen = co_await progress->changed.wait(seen);
}

void Store::record(StoreBatch batch) {
    if (!batch.empty()) enqueue(std::move(batch));
}

std::uint64_t Store::enqueue(StoreBatch batch) {
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        number = ++queued_;
        queue_.insert(queue_.end(), std::make_move_iterator(batch.begin()),
                      std::make_move_iterator(batch.end()));
    }
    ready_.notify_one();
    return number;
}

asio::awaitable<void> Store::run() {
    auto seen = progress_->changed.count();
    while (progress_->failure.empty()) seen = co_await progress_->changed.wait(seen);
    throw std::runtime_error("the store failed: " + progress_->failure);
}

void Store::work() {
    for (;;) {
        StoreBatch batch;
        std::uint64_t number = 0;
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;
            batch.swap(queue_);
            number = queued_;
        }
        try {
            carry_out(batch);
            report(number, {});
        } catch (const std::exception& error) {
            report(0, error.what());
            return;
        }
    }
}

void Store::report(std::uint64_t number, std::string failure) {
    asio::post(executor_, [progress = progress_, number, failure = std::move(failure)] {
        if (failure.empty())
            progress->committed = number;
        else
            progress->failure = failure;
        progress->changed.notify();
    });
}

void Store::execute(const char* sql) {
    if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        fail(database_.get());
}

void Store::carry_out(const StoreBatch& batch) {
    execute("BEGIN IMMEDIATE");
    for (const auto& operation : batch) carry_out(operation);
    execute("COMMIT");
    for (const auto& operation : batch)
        if (const auto* file = std::get_if<PutSecretFile>(&operation)) write_file(*file);
}

/// What matters is committed; a file beside it that cannot be written now is made by the next
/// start.
void Store::write_file(const PutSecretFile& file) {
    try {
        write_secret(file.path, file.text);
    } catch (const ConfigError& error) {
        asio::post(executor_, [text = std::string(error.what())] { log_error(text); });
    }
}

void Store::carry_out(const StoreOperation& operation) {
    auto* database = database_.get();
    if (const auto* put = std::get_if<PutKey>(&operation))
        Statement(database, "INSERT OR REPLACE INTO keys VALUES (?, ?)")
            .bind(1, put->record.identity)
            .bind(2, text_of(put->record))
            .step();
    else if (const auto* key = std::get_if<DropKey>(&operation))
        Statement(database, "DELETE FROM keys WHERE identity = ?").bind(1, key->identity).step();
    else if (const auto* node = std::get_if<PutNode>(&operation))
        Statement(database, "INSERT OR REPLACE INTO nodes VALUES (?, ?)")
            .bind(1, node->record.id)
            .bind(2, text_of(node->record))
            .step();
    else if (const auto* gone = std::get_if<DropNode>(&operation))
        Statement(database, "DELETE FROM nodes WHERE id = ?").bind(1, gone->id).step();
}

}  // namespace rpic

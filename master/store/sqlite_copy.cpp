#include <stdexcept>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "master/store/sqlite_database.hpp"

/// Copies of a database, for backups.
namespace rpic {

namespace {

constexpr int pages_per_step = 256;
constexpr std::int64_t jobs_ahead = 1000;

}  // namespace

void SqliteDatabase::start_copy(const std::filesystem::path& file) {
    end_copy();
    copy_ = open_file(file);
    // A copy that a crash spoils is thrown away.
    execute(copy_.get(), "PRAGMA synchronous=OFF");
    copying_ = sqlite3_backup_init(copy_.get(), "main", database_.get(), "main");
    if (copying_ == nullptr) fail(copy_.get());
}

bool SqliteDatabase::copy_some() {
    const int result = sqlite3_backup_step(copying_, pages_per_step);
    if (result == SQLITE_DONE) return false;
    // What the same connection writes meanwhile, SQLite brings into the copy by itself.
    if (result != SQLITE_OK) throw std::runtime_error(sqlite3_errstr(result));
    return true;
}

void SqliteDatabase::end_copy() {
    if (copying_ != nullptr) sqlite3_backup_finish(copying_);
    copying_ = nullptr;
    copy_.reset();
}

std::int64_t renew_sqlite(const std::filesystem::path& file) {
    const auto handle = open_file(file);
    auto* database = handle.get();
    // All of it in one file, which is then moved to its place.
    execute(database, "PRAGMA journal_mode=DELETE");
    Statement check(database, "PRAGMA integrity_check");
    if (!check.step() || check.view(0) != "ok")
        throw std::runtime_error("its database is damaged: " +
                                 printable(check.text(0), limits::log_text_chars));
    check.reset();
    migrate(database);
    execute(database, "BEGIN IMMEDIATE");
    Statement query(database,
                    "SELECT (SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?),"
                    " (SELECT CAST(value AS INTEGER) FROM meta WHERE name = ?),"
                    " (SELECT max(id) FROM jobs)");
    query.bind(1, std::string_view(meta_epoch)).bind(2, std::string_view(meta_next_job)).step();
    const auto epoch = std::max<std::int64_t>(query.number(0), 1) + 1;
    const auto next_job = std::max(query.number(1), query.number(2) + 1);
    query.reset();
    // Job ids that the old master gave after the backup should not name other jobs.
    const auto ahead = ((next_job - 1) / jobs_ahead + 2) * jobs_ahead;
    execute(database, "INSERT OR REPLACE INTO meta VALUES ('" + std::string(meta_epoch) + "', '" +
                          std::to_string(epoch) + "')");
    execute(database, "INSERT OR REPLACE INTO meta VALUES ('" + std::string(meta_next_job) +
                          "', '" + std::to_string(ahead) + "')");
    execute(database, "COMMIT");
    return epoch;
}

}  // namespace rpic

#include <iterator>
#include <stdexcept>

#include "common/keys.hpp"
#include "master/store/sqlite.hpp"

namespace rpic {

namespace {

/// Each step brings a store from version N to N + 1 (PRAGMA user_version). Steps are only ever
/// added.
///
/// The keys of `tasks` and `results` hold the job in their upper bits, so that rows of one job lie
/// together and new results go to the end of a page.
constexpr const char* migrations[] = {
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE keys (identity TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE nodes (id TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;",

    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, status TEXT NOT NULL, ended_at INTEGER,"
    " output_bytes INTEGER);"
    "CREATE TABLE specs (id INTEGER PRIMARY KEY, spec TEXT NOT NULL);"
    "CREATE TABLE tasks (id INTEGER PRIMARY KEY, line BLOB NOT NULL);"
    "CREATE TABLE results (id INTEGER PRIMARY KEY, low INTEGER NOT NULL, high INTEGER NOT NULL,"
    " blob_bytes INTEGER, lines BLOB NOT NULL, outputs BLOB);"
    "CREATE TABLE dropped (id INTEGER PRIMARY KEY);",
};
constexpr auto newest_version = static_cast<std::int64_t>(std::size(migrations));

}  // namespace

void migrate(sqlite3* database) {
    Statement version_query(database, "PRAGMA user_version");
    version_query.step();
    const auto version = version_query.number(0);
    version_query.reset();
    if (version < 0) throw std::runtime_error("it is damaged: no store has such a version");
    if (version > newest_version)
        throw std::runtime_error("it was written by a newer version of rpicluster");
    for (auto step = version; step < newest_version; ++step) {
        execute(database, "BEGIN IMMEDIATE");
        execute(database, migrations[step]);
        execute(database, "PRAGMA user_version=" + std::to_string(step + 1));
        if (step == 0) {
            const auto id = random_hex(16);
            Statement(database, "INSERT INTO meta VALUES ('cluster', ?)").bind(1, id).run();
        }
        execute(database, "COMMIT");
    }
}

}  // namespace rpic

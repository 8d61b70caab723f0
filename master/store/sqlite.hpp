#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

/// A thin cover of SQLite's C interface. Everything throws std::runtime_error with SQLite's words.
namespace rpic {

struct CloseDatabase {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
};
using SqliteHandle = std::unique_ptr<sqlite3, CloseDatabase>;

[[noreturn]] void fail(sqlite3* database);
SqliteHandle open_file(const std::filesystem::path& file);
void execute(sqlite3* database, const std::string& sql);

/// A prepared statement. One that is kept is used as: bind, step until false; it starts anew then.
class Statement {
  public:
    Statement(sqlite3* database, std::string_view sql);
    ~Statement() { sqlite3_finalize(statement_); }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    /// Texts and blobs must live until the last step.
    Statement& bind(int place, std::string_view text);
    Statement& bind(int place, std::int64_t number);
    Statement& bind_blob(int place, std::string_view bytes);
    Statement& bind_null(int place);

    /// Whether there is a row (more).
    bool step();
    /// Ends a statement whose rows were not all asked for.
    void reset() { sqlite3_reset(statement_); }
    /// All of a statement that gives no rows.
    void run() {
        while (step()) {
        }
    }

    /// Valid until the next step.
    std::string_view view(int column) const;
    std::string text(int column) const { return std::string(view(column)); }
    std::int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }

  private:
    sqlite3* database_;
    sqlite3_stmt* statement_ = nullptr;
};

/// Brings a database to the newest schema, a new one from nothing.
void migrate(sqlite3* database);

}  // namespace rpic

#include "master/store/sqlite.hpp"

#include <stdexcept>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// It may quote what a damaged file says.
std::string last_error(sqlite3* database) {
    return printable(sqlite3_errmsg(database), limits::log_text_chars);
}

}  // namespace

void fail(sqlite3* database) {
    throw std::runtime_error(last_error(database));
}

SqliteHandle open_file(const std::filesystem::path& file) {
    sqlite3* database = nullptr;
    // No mutex of SQLite's own: one thread at a time uses a database.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    const int result = sqlite3_open_v2(file.c_str(), &database, flags, nullptr);
    SqliteHandle handle(database);
    if (result != SQLITE_OK) fail(database);
    return handle;
}

void execute(sqlite3* database, const std::string& sql) {
    if (sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail(database);
}

Statement::Statement(sqlite3* database, std::string_view sql) : database_(database) {
    const auto size = static_cast<int>(sql.size());
    if (sqlite3_prepare_v3(database, sql.data(), size, SQLITE_PREPARE_PERSISTENT, &statement_,
                           nullptr) != SQLITE_OK)
        fail(database);
}

Statement& Statement::bind(int place, std::string_view text) {
    const auto size = static_cast<sqlite3_uint64>(text.size());
    if (sqlite3_bind_text64(statement_, place, text.data(), size, SQLITE_STATIC, SQLITE_UTF8) !=
        SQLITE_OK)
        fail(database_);
    return *this;
}

Statement& Statement::bind(int place, std::int64_t number) {
    if (sqlite3_bind_int64(statement_, place, number) != SQLITE_OK) fail(database_);
    return *this;
}

Statement& Statement::bind_blob(int place, std::string_view bytes) {
    if (sqlite3_bind_blob64(statement_, place, bytes.data(), bytes.size(), SQLITE_STATIC) !=
        SQLITE_OK)
        fail(database_);
    return *this;
}

Statement& Statement::bind_null(int place) {
    if (sqlite3_bind_null(statement_, place) != SQLITE_OK) fail(database_);
    return *this;
}

bool Statement::step() {
    const int result = sqlite3_step(statement_);
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) {
        const auto reason = last_error(database_);
        sqlite3_reset(statement_);
        throw std::runtime_error(reason);
    }
    sqlite3_reset(statement_);
    return false;
}

std::string_view Statement::view(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::string_view{} : std::string_view(bytes, size);
}

}  // namespace rpic

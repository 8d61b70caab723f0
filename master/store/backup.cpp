#include "master/store/backup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "master/store/backup_names.hpp"
#include "master/store/database.hpp"
#include "master/store/disk.hpp"

namespace rpic {

namespace {

constexpr std::size_t step_bytes = 1024 * 1024;
constexpr const char* folders[] = {"outputs", "blobs"};

bool all_of(std::string_view text, std::string_view allowed) {
    return !text.empty() && text.find_first_not_of(allowed) == text.npos;
}

}  // namespace

bool is_backup_file(std::string_view name) {
    const auto first = name.find('/');
    const auto second = name.find('/', first + 1);
    if (first == name.npos || second == name.npos) return false;
    const auto folder = name.substr(0, first);
    const auto middle = name.substr(first + 1, second - first - 1);
    auto last = name.substr(second + 1);
    if (folder == "outputs") {
        if (!last.ends_with(".seg")) return false;
        last.remove_suffix(4);
        return all_of(middle, "0123456789") && all_of(last, "0123456789");
    }
    constexpr std::string_view hex = "0123456789abcdef";
    return folder == "blobs" && all_of(middle, hex) && all_of(last, hex) &&
           middle.size() + last.size() == 64;
}

Backup::Backup(Database& database, std::filesystem::path folder, std::filesystem::path file)
    : database_(database), folder_(std::move(folder)), file_(std::move(file)) {
    if (!file_.has_filename()) throw std::runtime_error("a backup needs the name of a file");
    std::error_code error;
    if (std::filesystem::exists(file_, error) && !std::filesystem::is_regular_file(file_, error))
        throw std::runtime_error(file_.string() + " is there and is not a file");
    // What a crash may have left.
    std::filesystem::remove(with(".partial"), error);
    std::filesystem::remove(with(".copy"), error);
    // Made before SQLite opens it, so that nobody else can read the keys in it.
    const auto copy = with(".copy");
    const Descriptor made(::open(copy.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!made) fail("write", copy);
    database_.start_copy(copy);
}

Backup::~Backup() {
    database_.end_copy();
    std::error_code error;
    for (const auto* suffix : {".copy", ".copy-journal", ".partial"})
        std::filesystem::remove(with(suffix), error);
}

std::filesystem::path Backup::with(const char* suffix) const {
    auto path = file_;
    path += suffix;
    return path;
}

bool Backup::step() {
    if (copying_) {
        if (database_.copy_some()) return true;
        database_.end_copy();
        copying_ = false;
        tar_ = std::make_unique<TarWriter>(with(".partial"));
        list_files();
        return true;
    }
    if (pack_some()) return true;
    finish();
    return false;
}

/// After the copy of the database, so that every file it names is there.
void Backup::list_files() {
    for (const auto* folder : folders) {
        std::error_code error;
        std::filesystem::recursive_directory_iterator entries(folder_ / folder, error);
        for (; !error && entries != std::filesystem::recursive_directory_iterator{};
             entries.increment(error)) {
            std::error_code unreadable;
            if (!entries->is_regular_file(unreadable) || entries->is_symlink(unreadable)) continue;
            auto name = entries->path().lexically_relative(folder_).string();
            if (is_backup_file(name)) names_.push_back(std::move(name));
        }
        if (error && error != std::errc::no_such_file_or_directory)
            throw std::runtime_error("cannot read " + (folder_ / folder).string() + ": " +
                                     error.message());
    }
    std::sort(names_.begin(), names_.end(), std::greater<>());
    names_.emplace_back(backup_database);
}

bool Backup::pack_some() {
    while (!current_) {
        if (names_.empty()) return false;
        const auto name = std::move(names_.back());
        names_.pop_back();
        const auto path = name == backup_database ? with(".copy") : folder_ / name;
        current_ = Descriptor(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        struct stat status {};
        // A blob may have gone since it was listed.
        if (!current_ && errno == ENOENT) continue;
        if (!current_ || ::fstat(current_.get(), &status) != 0) fail("read", path);
        // A file may grow meanwhile: as much as there is now is packed.
        left_ = status.st_size;
        tar_->begin(name, left_);
    }
    std::string bytes(static_cast<std::size_t>(std::min<std::int64_t>(left_, step_bytes)), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const auto count = ::read(current_.get(), bytes.data() + done, bytes.size() - done);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) throw std::runtime_error("a file became shorter while it was read");
        done += static_cast<std::size_t>(count);
    }
    tar_->append(bytes);
    left_ -= static_cast<std::int64_t>(bytes.size());
    if (bytes.size() == step_bytes) tar_->sync();
    if (left_ == 0) {
        tar_->end();
        current_.reset();
    }
    return true;
}

void Backup::finish() {
    tar_->finish();
    made_ = {tar_->size(), tar_->sha256()};
    const auto partial = with(".partial");
    if (::rename(partial.c_str(), file_.c_str()) != 0) fail("write", file_);
    sync_folder(file_.has_parent_path() ? file_.parent_path() : ".");
}

}  // namespace rpic

#include "cli/download.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "cli/part_folder.hpp"
#include "common/beneath.hpp"
#include "common/clock.hpp"
#include "common/file_io.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

using OnBytes = std::function<void(std::int64_t received)>;

/// Answers that nobody wants any more must not be taken for those of later requests.
void drop_answers(Client& client, std::size_t ahead) {
    for (std::size_t i = 0; i < ahead; ++i) {
        try {
            client.take_answer<Chunk>();
        } catch (const RequestFailedError&) {
            continue;
        }
    }
}

/// Takes the next part of a blob, of which `offset` is awaited.
std::string take_part(Client& client, std::int64_t offset, std::int64_t& size) {
    std::string bytes;
    Chunk chunk;
    try {
        chunk = client.take_answer<Chunk>(&bytes);
    } catch (const RequestFailedError& error) {
        throw FileError(error.code, error.what());
    }
    const bool first = size < 0;
    if (first) size = chunk.size;
    const bool fits =
        chunk.offset == offset && chunk.size == size && (!bytes.empty() || offset == size);
    if (!fits) throw FileError("conflict", "the master sent another part than was asked for");
    return bytes;
}

/// Brings a blob into the store, from where an earlier attempt has come.
void get_blob(Client& client, BlobStore& store, const std::string& blob, const OnBytes& told) {
    if (store.has(blob)) return;
    GetChunk get;
    get.blob = blob;
    client.ask_ahead(get);
    std::int64_t size = -1;  // not known yet
    std::size_t ahead = 1;
    std::int64_t offset = 0;
    std::int64_t next = 0;
    std::exception_ptr failure;
    try {
        for (bool first = true; first || offset < size; first = false) {
            --ahead;
            const auto bytes = take_part(client, offset, size);
            const auto here = first ? store.received(blob, size) : 0;
            offset = here > 0 ? here : store.put_chunk(blob, size, offset, bytes);
            if (told) told(offset);
            if (first) next = offset;
            for (; ahead < limits::chunks_ahead && next < size; ++ahead) {
                get.offset = next;
                client.ask_ahead(get);
                next += static_cast<std::int64_t>(limits::chunk_bytes);
            }
        }
    } catch (const FileError&) {
        failure = std::current_exception();
    }
    drop_answers(client, ahead);
    if (failure) std::rethrow_exception(failure);
}

/// What is in the place of a file: nothing, the file, or something else.
enum class InPlace { nothing, same, other };

InPlace look(const Descriptor& folder, const ManifestEntry& entry) {
    std::optional<Descriptor> file;
    try {
        file = open_beneath(folder, entry.path);
    } catch (const FileError& error) {
        return error.code == "not_found" ? InPlace::nothing : InPlace::other;
    }
    struct stat status {};
    if (::fstat(file->get(), &status) != 0 || status.st_size != entry.size) return InPlace::other;
    Sha256 hash;
    for (std::int64_t offset = 0; offset < entry.size;) {
        const auto bytes = read_at(*file, offset, file_read_bytes, entry.path);
        if (bytes.empty()) break;
        hash.update(bytes);
        offset += static_cast<std::int64_t>(bytes.size());
    }
    return hash.finish() == entry.blob ? InPlace::same : InPlace::other;
}

/// One download into one folder.
class Download {
  public:
    Download(Client& client, const std::string& folder, const OnProgress& report)
        : client_(client), folder_name_(folder), folder_(open_folder(folder)), report_(report) {}

    Downloaded run(const Manifest& all) {
        for (const auto& entry : all.entries) plan(entry);
        progress_.files = static_cast<std::int64_t>(uses_.size());
        Placing placing(open_folder(folder_name_), wanted_,
                        [this](const ManifestEntry& file) { return contents(file); });
        while (!placing.step()) tell(false);
        tell(true);
        if (part_) part_->remove();
        result_.files = placing.files_done();
        result_.bytes = placing.bytes_done();
        return std::move(result_);
    }

  private:
    void plan(const ManifestEntry& entry) {
        if (entry.is_file()) {
            const auto there = look(folder_, entry);
            if (there == InPlace::same) return;
            if (there == InPlace::other) result_.replaced.push_back(entry.path);
            if (++uses_[entry.blob] == 1) progress_.bytes += entry.size;
        }
        wanted_.entries.push_back(entry);
    }

    /// Brought when its turn has come; the last who uses a blob gets the file itself.
    Placing::Contents contents(const ManifestEntry& file) {
        const auto before = progress_.bytes_done;
        const bool first = got_.insert(file.blob).second;
        if (!part_) store_.emplace(part_.emplace(folder_name_).path());
        if (first) {
            get_blob(client_, *store_, file.blob, [&](std::int64_t received) {
                progress_.bytes_done = before + received;
                tell(false);
            });
            progress_.bytes_done = before + file.size;
            ++progress_.files_done;
        }
        Placing::Contents from;
        from.file = store_->open(file.blob);
        if (--uses_[file.blob] == 0) from.move_from = store_->path_of(file.blob).native();
        return from;
    }

    void tell(bool now) {
        constexpr Duration interval = std::chrono::milliseconds(200);
        if (!report_ || (!now && Clock::now() - told_ < interval)) return;
        told_ = Clock::now();
        report_(progress_);
    }

    Client& client_;
    std::string folder_name_;
    Descriptor folder_;
    std::optional<PartFolder> part_;  // if there is something to bring
    std::optional<BlobStore> store_;  // in it
    const OnProgress& report_;
    Instant told_{};
    TransferProgress progress_;
    Manifest wanted_;
    std::map<std::string, int> uses_;
    std::set<std::string> got_;
    Downloaded result_;
};

}  // namespace

std::string download_bytes(Client& client, const std::string& blob, std::size_t max_bytes) {
    std::string text;
    std::int64_t size = -1;
    GetChunk get;
    get.blob = blob;
    while (size < 0 || static_cast<std::int64_t>(text.size()) < size) {
        get.offset = static_cast<std::int64_t>(text.size());
        client.ask_ahead(get);
        text += take_part(client, get.offset, size);
        if (size > static_cast<std::int64_t>(max_bytes))
            throw FileError("bad_request", "what the master has is larger than was expected");
    }
    if (sha256_hex(text) != blob)
        throw FileError("conflict", "what the master sent has another SHA-256 than " + blob);
    return text;
}

Manifest download_list(Client& client, const std::string& blob) {
    return parse_manifest(download_bytes(client, blob, limits::manifest_bytes));
}

Downloaded download_manifest(Client& client, const std::string& blob, const std::string& folder,
                             const OnProgress& progress) {
    const auto manifest = download_list(client, blob);
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    return Download(client, folder, progress).run(manifest);
}

}  // namespace rpic

#include "cli/upload.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <set>

#include "common/clock.hpp"
#include "common/file_io.hpp"
#include "common/file_scan.hpp"
#include "common/limits.hpp"
#include "common/put_window.hpp"

namespace rpic {

namespace {

using ReadPart = std::function<std::string(std::int64_t offset, std::int64_t length)>;

/// Tells about a transfer now and then.
class Reporter {
  public:
    explicit Reporter(const OnProgress& report) : report_(report) {}

    void tell(bool now = false) {
        constexpr Duration interval = std::chrono::milliseconds(200);
        if (!report_ || (!now && Clock::now() - told_ < interval)) return;
        told_ = Clock::now();
        report_(progress);
    }

    TransferProgress progress;

  private:
    const OnProgress& report_;
    Instant told_{};
};

/// Answers that nobody wants any more must not be taken for those of later requests.
void drop_answers(Client& client, int ahead) {
    for (int i = 0; i < ahead; ++i) {
        try {
            client.take_answer<ChunkStored>();
        } catch (const RequestFailedError&) {
            continue;
        }
    }
}

void put_blob(Client& client, const std::string& blob, std::int64_t size, const ReadPart& read,
              Reporter& reporter) {
    PutChunk part;
    part.blob = blob;
    part.size = size;
    PutWindow window(size);
    int ahead = 0;
    const auto before = reporter.progress.bytes_done;
    std::exception_ptr failure;
    try {
        while (!window.done()) {
            while (window.may_send()) {
                const auto length = window.length();
                part.offset = window.offset();
                const auto bytes = length > 0 ? read(part.offset, length) : std::string();
                if (static_cast<std::int64_t>(bytes.size()) != length)
                    throw FileError("conflict", "a file became shorter while it was sent");
                client.ask_ahead(part, bytes);
                window.sent();
                ++ahead;
            }
            --ahead;
            const auto stored = client.take_answer<ChunkStored>();
            window.stored(stored.received);
            reporter.progress.bytes_done = before + stored.received;
            reporter.tell();
        }
    } catch (const RequestFailedError& error) {
        // The master's words; its codes mean the same as ours.
        failure = std::make_exception_ptr(FileError(error.code, error.what()));
    } catch (const FileError&) {
        failure = std::current_exception();
    }
    drop_answers(client, ahead);
    if (failure) std::rethrow_exception(failure);
    reporter.progress.bytes_done = before + size;
}

std::set<std::string> ask_missing(Client& client, const std::vector<std::string>& blobs) {
    std::set<std::string> missing;
    for (std::size_t begin = 0; begin < blobs.size(); begin += limits::blobs_per_request) {
        const auto end = std::min(begin + limits::blobs_per_request, blobs.size());
        HaveBlobs have;
        have.blobs.assign(blobs.begin() + static_cast<std::ptrdiff_t>(begin),
                          blobs.begin() + static_cast<std::ptrdiff_t>(end));
        const auto answer = client.ask<MissingBlobs>(have);
        missing.insert(answer.blobs.begin(), answer.blobs.end());
    }
    return missing;
}

void put_file(Client& client, const ScannedFile& file, Reporter& reporter) {
    const auto source = open_source(file);
    const ReadPart read = [&](std::int64_t offset, std::int64_t length) {
        return read_at(source, offset, static_cast<std::size_t>(length), file.source);
    };
    try {
        put_blob(client, file.entry.blob, file.entry.size, read, reporter);
    } catch (const FileError& error) {
        if (error.code != "conflict") throw;
        throw FileError("conflict", file.source + ": " + error.what());
    }
}

/// Sends those that the master does not have.
void put_files(Client& client, const std::vector<ScannedFile>& files, Reporter& reporter) {
    std::vector<std::string> blobs;
    for (const auto& file : files)
        if (file.entry.is_file()) blobs.push_back(file.entry.blob);
    auto missing = ask_missing(client, blobs);
    std::vector<const ScannedFile*> wanted;
    for (const auto& file : files) {
        if (missing.erase(file.entry.blob) == 0) continue;
        wanted.push_back(&file);
        reporter.progress.bytes += file.entry.size;
    }
    reporter.progress.files = static_cast<std::int64_t>(wanted.size());
    for (const auto* file : wanted) {
        put_file(client, *file, reporter);
        ++reporter.progress.files_done;
        reporter.tell();
    }
    reporter.tell(true);
}

/// A file without a name, for what can be read only once.
Descriptor temporary_file() {
    const auto folder = std::filesystem::temp_directory_path().native();
    Descriptor file(::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (file) return file;
    auto name = folder + "/rpicluster-XXXXXX";
    file = Descriptor(::mkostemp(name.data(), O_CLOEXEC));
    if (!file) fail_file("make a temporary file in", folder);
    ::unlink(name.c_str());
    return file;
}

}  // namespace

std::string upload_paths(Client& client, const std::vector<std::string>& paths,
                         const OnProgress& progress) {
    auto files = scan_files(paths);
    Manifest manifest;
    for (auto& file : files) {
        const bool is_file = !file.entry.folder && file.entry.link.empty();
        if (is_file) hash_file(file);
        manifest.entries.push_back(file.entry);
    }
    put_in_order(manifest);
    const auto text = format_manifest(manifest);
    Reporter reporter(progress);
    put_files(client, files, reporter);
    return upload_bytes(client, text);
}

std::string upload_file(Client& client, const std::string& path, const OnProgress& progress) {
    std::vector<ScannedFile> files(1);
    files[0].source = path;
    hash_file(files[0]);
    Reporter reporter(progress);
    put_files(client, files, reporter);
    return files[0].entry.blob;
}

std::string upload_bytes(Client& client, std::string_view bytes) {
    const auto blob = sha256_hex(bytes);
    if (ask_missing(client, {blob}).empty()) return blob;
    const ReadPart read = [bytes](std::int64_t offset, std::int64_t length) {
        return std::string(
            bytes.substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(length)));
    };
    const OnProgress nobody;
    Reporter reporter(nobody);
    put_blob(client, blob, static_cast<std::int64_t>(bytes.size()), read, reporter);
    return blob;
}

std::string upload_stream(Client& client, int descriptor, const OnProgress& progress) {
    const auto file = temporary_file();
    Sha256 hash;
    std::int64_t size = 0;
    std::string buffer(file_read_bytes, '\0');
    for (;;) {
        const auto count = ::read(descriptor, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail_file("read", "the standard input");
        if (count == 0) break;
        const auto bytes = std::string_view(buffer).substr(0, static_cast<std::size_t>(count));
        hash.update(bytes);
        write_at(file, size, bytes, "a temporary file");
        size += count;
        if (size > limits::blob_bytes) throw FileError("bad_request", "the input is too large");
    }
    const auto blob = hash.finish();
    if (ask_missing(client, {blob}).empty()) return blob;
    const ReadPart read = [&file](std::int64_t offset, std::int64_t length) {
        return read_at(file, offset, static_cast<std::size_t>(length), "a temporary file");
    };
    Reporter reporter(progress);
    reporter.progress.files = 1;
    reporter.progress.bytes = size;
    put_blob(client, blob, size, read, reporter);
    reporter.progress.files_done = 1;
    reporter.tell(true);
    return blob;
}

}  // namespace rpic

#include "master/blob_desk.hpp"

#include <optional>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"

namespace rpic {

asio::awaitable<void> BlobDesk::serve(HaveBlobs request) {
    std::optional<FileError> failure;
    try {
        if (request.blobs.size() > limits::blobs_per_request)
            throw FileError("bad_request", "more than " +
                                               std::to_string(limits::blobs_per_request) +
                                               " files asked about at once");
        // What is not missing will not be put: it must still be there when it is named.
        auto look = [&blobs = blobs_, names = std::move(request.blobs)] {
            auto missing = blobs.missing(names);
            for (const auto& blob : names) blobs.hold(blob, Clock::now());
            return missing;
        };
        MissingBlobs answer;
        answer.id = request.id;
        answer.blobs = co_await files_.run(std::move(look));
        connection_.send(answer);
    } catch (const FileError& error) {
        failure = error;
    }
    if (failure) fail(request.id, *failure);
    co_await room();
}

asio::awaitable<void> BlobDesk::serve(PutChunk request, std::string bytes) {
    std::optional<FileError> failure;
    const auto id = request.id;
    try {
        auto put = [&blobs = blobs_, part = std::move(request), data = std::move(bytes),
                    keep_free = keep_free_bytes_] {
            const auto received =
                blobs.put_chunk(part.blob, part.size, part.offset, data, keep_free);
            blobs.hold(part.blob, Clock::now());
            return received;
        };
        ChunkStored answer;
        answer.id = id;
        answer.received = co_await files_.run(std::move(put));
        connection_.send(answer);
    } catch (const FileError& error) {
        failure = error;
    }
    if (failure) fail(id, *failure);
    co_await room();
}

asio::awaitable<void> BlobDesk::serve(GetChunk request) {
    std::optional<FileError> failure;
    Chunk answer;
    answer.id = request.id;
    answer.offset = request.offset;
    try {
        auto get = [&blobs = blobs_, blob = std::move(request.blob), offset = request.offset] {
            return blobs.get_chunk(blob, offset);
        };
        const auto piece = co_await files_.run(std::move(get));
        answer.size = piece.size;
        connection_.send(answer, piece.bytes);
    } catch (const FileError& error) {
        failure = error;
    }
    if (failure) fail(answer.id, *failure);
    co_await room();
}

/// Nothing more is read from a peer that does not read.
asio::awaitable<void> BlobDesk::room() {
    const Duration pause = std::chrono::milliseconds(2);
    while (!connection_.closed() && connection_.outbox_bytes() > limits::outbox_soft_bytes)
        co_await sleep_for(pause);
}

void BlobDesk::fail(std::int64_t id, const FileError& error) {
    // The disk of this machine is not the peer's doing, and somebody should know.
    if (error.code == "failed" || error.code == "full")
        log_rarely(Severity::warning, "files", error.code, error.what());
    Failed answer;
    answer.id = id;
    answer.code = error.code;
    answer.reason = error.what();
    connection_.send(answer);
}

}  // namespace rpic

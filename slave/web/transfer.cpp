#include "slave/web/transfer.hpp"

#include <algorithm>

#include "common/file_error.hpp"
#include "common/limits.hpp"
#include "common/sha256.hpp"
#include "common/text.hpp"

namespace rpic {

using boost::asio::awaitable;

namespace {

constexpr auto part_bytes = static_cast<std::int64_t>(limits::chunk_bytes);

/// Sends one part; gives how much of the blob the master has then.
awaitable<std::int64_t> put_part(MasterDesk::Visit& visit, const PutChunk& part,
                                 const std::string& bytes) {
    visit.send(part, bytes);
    // A large file is checked and written to the disk before its last part is acknowledged.
    auto reply = co_await visit.reply(10 * limits::request_time);
    co_return take_answer<ChunkStored>(std::move(reply)).received;
}

awaitable<std::string> get_part(MasterDesk::Visit& visit, const std::string& blob,
                                std::int64_t offset, std::int64_t& size) {
    GetChunk request;
    request.blob = blob;
    request.offset = offset;
    visit.send(request);
    auto reply = co_await visit.reply();
    std::string bytes = std::move(reply.raw);
    size = take_answer<Chunk>(std::move(reply)).size;
    if (bytes.empty() && offset < size)
        throw ProblemError(503, "the master sent an empty part of a file", 5);
    co_return bytes;
}

}  // namespace

awaitable<std::string> put_bytes(MasterDesk::Visit& visit, std::string bytes) {
    PutChunk part;
    part.blob = sha256_hex(bytes);
    part.size = static_cast<std::int64_t>(bytes.size());
    std::int64_t stored = 0;
    do {
        part.offset = stored;
        const auto piece = bytes.substr(static_cast<std::size_t>(stored), limits::chunk_bytes);
        const auto received = co_await put_part(visit, part, piece);
        if (received <= stored && received < part.size)
            throw ProblemError(503, "the master does not take what belongs to the job", 5);
        stored = received;
    } while (stored < part.size);
    co_return part.blob;
}

awaitable<bool> put_body(MasterDesk::Visit& visit, Exchange& exchange, std::string blob,
                         std::int64_t size) {
    HaveBlobs have;
    have.blobs = {blob};
    visit.send(have);
    auto reply = co_await visit.reply();
    if (take_answer<MissingBlobs>(std::move(reply)).blobs.empty()) co_return false;
    PutChunk part;
    part.blob = blob;
    part.size = size;
    part.offset = size;
    std::int64_t stored = 0;
    // An empty part at the end asks how much an earlier attempt has brought.
    if (size > 0) stored = co_await put_part(visit, part, std::string());
    std::int64_t offset = 0;
    do {
        const auto piece = co_await exchange.wire.body_part(limits::chunk_bytes);
        const auto end = offset + static_cast<std::int64_t>(piece.size());
        if (end > stored || size == 0) {
            const auto known = static_cast<std::size_t>(std::max<std::int64_t>(stored - offset, 0));
            part.offset = offset + static_cast<std::int64_t>(known);
            const auto rest = piece.substr(known);
            exchange.wire.allow(11 * limits::request_time, "the master did not take the file");
            stored = co_await put_part(visit, part, rest);
            if (stored < end)
                throw ProblemError(409, "somebody else sends this file as well: try again");
        }
        offset = end;
    } while (offset < size);
    co_return true;
}

awaitable<Manifest> get_manifest(MasterDesk::Visit& visit, std::string blob) {
    std::string text;
    std::int64_t size = 0;
    do {
        const auto offset = static_cast<std::int64_t>(text.size());
        const auto bytes = co_await get_part(visit, blob, offset, size);
        if (size > static_cast<std::int64_t>(limits::web_manifest_bytes))
            throw ProblemError(413,
                               "the list of these files is longer than " +
                                   format_size(limits::web_manifest_bytes) +
                                   ", too long to be shown here: `rpicluster fetch` brings those "
                                   "that a task made");
        text += bytes;
    } while (static_cast<std::int64_t>(text.size()) < size);
    try {
        co_return parse_manifest(text);
    } catch (const FileError& error) {
        throw ProblemError(503, std::string("the list of files is broken: ") + error.what());
    }
}

awaitable<void> send_blob(MasterDesk::Visit& visit, Exchange& exchange, std::string blob,
                          Answer head) {
    std::int64_t size = 0;
    auto bytes = co_await get_part(visit, blob, 0, size);
    head.fields.emplace_back("Content-Length", std::to_string(size));
    const bool wanted = co_await exchange.wire.begin(std::move(head));
    if (!wanted) co_return;
    std::int64_t sent = 0;
    for (;;) {
        sent += static_cast<std::int64_t>(bytes.size());
        co_await exchange.wire.write(std::move(bytes));
        if (sent >= size) break;
        exchange.wire.allow(limits::request_time + limits::web_request_time,
                            "the master did not send the file");
        bytes = co_await get_part(visit, blob, sent, size);
    }
    co_await exchange.wire.end();
}

}  // namespace rpic

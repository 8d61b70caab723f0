#include <boost/asio/error.hpp>
#include <utility>

#include "common/file_io.hpp"
#include "common/limits.hpp"
#include "common/put_window.hpp"
#include "slave/files/bulk_link.hpp"

/// What moves over a node's bulk link: blobs, part by part, across the breaks of the link.
namespace rpic {

BulkLink::Transfer::Transfer(BulkLink& link) : link_(link) {
    ++link_.transfers_;
    link_.changed_.notify();
}

BulkLink::Transfer::~Transfer() {
    --link_.transfers_;
    if (running_) --link_.transfers_running_;
    link_.last_used_ = Clock::now();
    link_.changed_.notify();
}

asio::awaitable<void> BulkLink::Transfer::turn() {
    auto seen = link_.changed_.count();
    while (link_.transfers_running_ >= limits::bulk_transfers)
        seen = co_await link_.changed_.wait(seen);
    ++link_.transfers_running_;
    running_ = true;
}

asio::awaitable<void> BulkLink::connected_link() {
    auto seen = changed_.count();
    while (link_ == nullptr) seen = co_await changed_.wait(seen);
}

template <class Request>
BulkLink::PendingPtr BulkLink::ask(Request request, std::string_view bytes) {
    if (link_ == nullptr) throw DisconnectionError("there is no bulk link");
    request.id = ++last_request_;
    auto pending = std::make_shared<Pending>(executor_);
    pending_[request.id] = pending;
    link_->send(request, bytes);
    last_used_ = Clock::now();
    return pending;
}

/// Throws DisconnectionError if the link ends first, FileError if the master cannot do it.
asio::awaitable<BulkLink::Reply> BulkLink::reply_to(PendingPtr pending) {
    auto seen = pending->changed.count();
    while (!pending->reply && !pending->lost) seen = co_await pending->changed.wait(seen);
    if (!pending->reply) throw DisconnectionError("the bulk link ended");
    if (const auto* failed = std::get_if<Failed>(&pending->reply->message)) {
        FileError error(failed->code, printable(failed->reason, limits::path_bytes));
        error.from_master = true;
        throw error;
    }
    co_return std::move(*pending->reply);
}

namespace {

template <class Answer, class Message>
Answer expect(Message message) {
    if (auto* answer = std::get_if<Answer>(&message)) return std::move(*answer);
    throw DisconnectionError("the master answered with something else than was asked for");
}

}  // namespace

// -----------------------------------------------------------------------------------------
// fetching

asio::awaitable<void> BulkLink::fetch(BlobStore& store, std::string blob, Wanted wanted) {
    Transfer transfer(*this);
    co_await transfer.turn();
    for (bool again = false;;) {
        co_await connected_link();
        try {
            co_await fetch_on_link(store, blob, wanted);
            co_return;
        } catch (const DisconnectionError&) {
            // It goes on where it was, over the next link.
        } catch (const FileError& error) {
            // What an earlier fetch had left was damaged on the disk. It is gone: all comes anew.
            if (error.code != "conflict" || std::exchange(again, true)) throw;
        }
    }
}

asio::awaitable<void> BulkLink::fetch_on_link(BlobStore& store, std::string blob, Wanted wanted) {
    check_wanted(wanted);
    GetChunk get;
    get.blob = blob;
    std::deque<PendingPtr> ahead;
    ahead.push_back(ask(get));
    std::int64_t size = -1;   // not known yet
    std::int64_t offset = 0;  // of the part that is awaited
    std::int64_t next = 0;    // of the part that is asked for next
    for (;;) {
        const PendingPtr oldest = ahead.front();
        ahead.pop_front();
        auto reply = co_await reply_to(oldest);
        const auto chunk = expect<Chunk>(std::move(reply.message));
        const bool first = size < 0;
        if (first) size = chunk.size;
        const bool fits = chunk.offset == offset && chunk.size == size &&
                          (!reply.bytes.empty() || offset == size);
        if (!fits) throw DisconnectionError("the master sent another part than was asked for");
        auto store_it = [&store, blob, size, offset, first, bytes = std::move(reply.bytes)] {
            // What an earlier attempt has left counts.
            const auto here = first ? store.received(blob, size) : 0;
            return here > 0 ? here : store.put_chunk(blob, size, offset, bytes);
        };
        offset = co_await files_.run(std::move(store_it));
        if (offset == size) co_return;
        check_wanted(wanted);
        if (first) next = offset;
        while (static_cast<int>(ahead.size()) < limits::chunks_ahead && next < size) {
            get.offset = next;
            ahead.push_back(ask(get));
            next += static_cast<std::int64_t>(limits::chunk_bytes);
        }
        if (ahead.empty()) throw DisconnectionError("parts were stored out of order");
    }
}

// ------------------------------------------------------------------------------------------
// putting

asio::awaitable<void> BulkLink::put(std::shared_ptr<Descriptor> file, std::string blob,
                                    std::int64_t size, Wanted wanted) {
    auto& files = files_;
    ReadPart read = [&files, file](std::int64_t offset,
                                   std::int64_t length) -> asio::awaitable<std::string> {
        auto work = [file, offset, length] {
            return read_at(*file, offset, static_cast<std::size_t>(length), "a file to send");
        };
        auto bytes = co_await files.run(std::move(work));
        co_return bytes;
    };
    co_await put_parts(std::move(blob), size, std::move(read), std::move(wanted));
}

asio::awaitable<void> BulkLink::put_bytes(std::string bytes, std::string blob, Wanted wanted) {
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto shared = std::make_shared<const std::string>(std::move(bytes));
    ReadPart read = [shared](std::int64_t offset,
                             std::int64_t length) -> asio::awaitable<std::string> {
        co_return shared->substr(static_cast<std::size_t>(offset),
                                 static_cast<std::size_t>(length));
    };
    co_await put_parts(std::move(blob), size, std::move(read), std::move(wanted));
}

asio::awaitable<void> BulkLink::put_parts(std::string blob, std::int64_t size, ReadPart read,
                                          Wanted wanted) {
    Transfer transfer(*this);
    co_await transfer.turn();
    for (;;) {
        co_await connected_link();
        try {
            co_await put_on_link(blob, size, read, wanted);
            co_return;
        } catch (const DisconnectionError&) {
            // It goes on where it was, over the next link.
        }
    }
}

asio::awaitable<void> BulkLink::put_on_link(std::string blob, std::int64_t size, ReadPart read,
                                            Wanted wanted) {
    PutChunk part;
    part.blob = blob;
    part.size = size;
    PutWindow window(size);
    std::deque<PendingPtr> ahead;
    while (!window.done()) {
        while (window.may_send()) {
            check_wanted(wanted);
            std::string bytes;
            const auto length = window.length();
            part.offset = window.offset();
            if (length > 0) bytes = co_await read(part.offset, length);
            if (static_cast<std::int64_t>(bytes.size()) != length)
                throw FileError("conflict", "a file became shorter while it was sent");
            ahead.push_back(ask(part, bytes));
            window.sent();
        }
        const PendingPtr oldest = ahead.front();
        ahead.pop_front();
        auto reply = co_await reply_to(oldest);
        const auto stored = expect<ChunkStored>(std::move(reply.message));
        window.stored(stored.received);
    }
}

asio::awaitable<std::vector<std::string>> BulkLink::missing(std::vector<std::string> blobs,
                                                            Wanted wanted) {
    Transfer transfer(*this);
    co_await transfer.turn();
    for (;;) {
        co_await connected_link();
        try {
            auto result = co_await missing_on_link(blobs, wanted);
            co_return result;
        } catch (const DisconnectionError&) {
            // Asked again over the next link.
        }
    }
}

asio::awaitable<std::vector<std::string>> BulkLink::missing_on_link(std::vector<std::string> blobs,
                                                                    Wanted wanted) {
    std::vector<std::string> result;
    for (std::size_t begin = 0; begin < blobs.size(); begin += limits::blobs_per_request) {
        check_wanted(wanted);
        const auto end = std::min(begin + limits::blobs_per_request, blobs.size());
        HaveBlobs have;
        have.blobs.assign(blobs.begin() + static_cast<std::ptrdiff_t>(begin),
                          blobs.begin() + static_cast<std::ptrdiff_t>(end));
        auto pending = ask(std::move(have));
        auto reply = co_await reply_to(std::move(pending));
        auto answer = expect<MissingBlobs>(std::move(reply.message));
        for (auto& blob : answer.blobs) result.push_back(std::move(blob));
    }
    co_return result;
}

}  // namespace rpic

#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/blob_store.hpp"
#include "common/connection.hpp"
#include "common/file_thread.hpp"
#include "common/limits.hpp"
#include "common/messages.hpp"
#include "common/output_piece.hpp"
#include "common/text.hpp"
#include "common/wakeup.hpp"
#include "slave/core/backoff.hpp"
#include "slave/files/wanted.hpp"

namespace rpic {

/// The second connection of a node, for files and output. It is there while something moves and for
/// limits::bulk_idle after that. Transfers survive its breaks: they wait for the next connection
/// and go on where they were. They end with FileError `unwanted` when nobody wants them any more.
class BulkLink {
  public:
    /// Answers the master's question for output; may wait as ReadOutput says. Nothing if there is
    /// no such attempt.
    using OutputSource = std::function<asio::awaitable<std::optional<OutputPiece>>(ReadOutput)>;

    BulkLink(const asio::any_io_executor& executor, FileThread& files);

    void answer_output_with(OutputSource source) { output_ = std::move(source); }

    /// The control link is up: this is the master, and the key that it knows this node by.
    void set_master(HostPort master, std::string key);
    /// The control link is down. Transfers wait.
    void no_master();

    /// The master asks for the link (`open_bulk`).
    void open();

    /// Lives as long as the slave.
    asio::awaitable<void> run();

    /// Brings a blob into `store`, which must outlive this. Throws FileError: `not_found`, `full`,
    /// `conflict` if what came was damaged twice.
    asio::awaitable<void> fetch(BlobStore& store, std::string blob, Wanted wanted);

    /// Sends a file whose contents are the blob, unless the master has it. Throws FileError:
    /// `conflict` if the file changed or what came there was damaged, `full` or `failed` if the
    /// master's disk is full or broken.
    asio::awaitable<void> put(std::shared_ptr<Descriptor> file, std::string blob, std::int64_t size,
                              Wanted wanted);
    asio::awaitable<void> put_bytes(std::string bytes, std::string blob, Wanted wanted);

    /// Those that the master does not have.
    asio::awaitable<std::vector<std::string>> missing(std::vector<std::string> blobs,
                                                      Wanted wanted);

    bool connected() const { return link_ != nullptr; }

  private:
    struct Reply {
        ToBulk message;
        std::string bytes;
    };
    struct Pending {
        explicit Pending(const asio::any_io_executor& executor) : changed(executor) {}
        bool lost = false;  // its connection ended
        std::optional<Reply> reply;
        Wakeup changed;
    };
    using PendingPtr = std::shared_ptr<Pending>;
    using ReadPart =
        std::function<asio::awaitable<std::string>(std::int64_t offset, std::int64_t length)>;

    /// One of the transfers; the link is wanted while there are some.
    class Transfer {
      public:
        explicit Transfer(BulkLink& link);
        ~Transfer();
        Transfer(const Transfer&) = delete;
        Transfer& operator=(const Transfer&) = delete;
        /// Returns when it may move bytes.
        asio::awaitable<void> turn();

      private:
        BulkLink& link_;
        bool running_ = false;
    };

    template <class Request>
    PendingPtr ask(Request request, std::string_view bytes = {});
    asio::awaitable<Reply> reply_to(PendingPtr pending);
    asio::awaitable<void> connected_link();
    asio::awaitable<void> fetch_on_link(BlobStore& store, std::string blob, Wanted wanted);
    asio::awaitable<void> put_on_link(std::string blob, std::int64_t size, ReadPart read,
                                      Wanted wanted);
    asio::awaitable<void> put_parts(std::string blob, std::int64_t size, ReadPart read,
                                    Wanted wanted);
    asio::awaitable<std::vector<std::string>> missing_on_link(std::vector<std::string> blobs,
                                                              Wanted wanted);

    asio::awaitable<void> run_once();
    asio::awaitable<void> read(Connection& link);
    asio::awaitable<void> answer_some(Connection& link);
    asio::awaitable<void> answer(Connection& link, ReadOutput question);
    asio::awaitable<void> close_when_idle(Connection& link);
    void take(const Frame& frame);
    void lose_link();
    bool link_wanted() const { return transfers_ > 0 || asked_to_open_; }

    asio::any_io_executor executor_;
    FileThread& files_;
    OutputSource output_;
    std::optional<HostPort> master_;
    std::string key_;
    Connection* link_ = nullptr;
    Backoff backoff_{limits::reconnect_early_max};
    std::int64_t last_request_ = 0;
    std::map<std::int64_t, PendingPtr> pending_;
    std::deque<ReadOutput> questions_;
    int transfers_ = 0;          // that exist
    int transfers_running_ = 0;  // of these, may move bytes
    int answering_ = 0;          // questions of the master
    bool asked_to_open_ = false;
    Instant last_used_{};
    Wakeup changed_;
};

}  // namespace rpic

#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "common/connection.hpp"
#include "common/output_piece.hpp"

namespace rpic {

struct Context;

/// The bulk links of nodes: their second connections, which they open when they have files to move
/// or the master asks them to. serve_bulk() (peers.hpp) serves one.
class BulkLinks {
  public:
    explicit BulkLinks(const asio::any_io_executor& executor) : executor_(executor) {}

    /// Asks a node for output of an attempt that runs there (or waits there to be reported), over
    /// its bulk link, which the node is told to open if there is none. Nothing if the node is not
    /// connected, has no such attempt, its link ends, or it does not answer within the time of the
    /// question. The id of the question is set here.
    asio::awaitable<std::optional<OutputPiece>> read_output(Context& context, std::string node_id,
                                                            ReadOutput question);

    /// A link for as long as it lives. A newer one of the same node ends it.
    class Place {
      public:
        Place(BulkLinks& links, std::string node_id, Connection& connection);
        ~Place();
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;

        /// The node has answered a question; one that nobody waits for is dropped.
        void answered(const Output& answer, std::string_view bytes);
        /// It cannot.
        void failed(std::int64_t id);

      private:
        BulkLinks& links_;
        std::string node_id_;
        std::uint64_t number_;
    };

  private:
    struct Question {
        Question(const asio::any_io_executor& executor, Duration patience)
            : over(executor, patience) {}
        bool ended = false;
        std::optional<OutputPiece> piece;
        asio::steady_timer over;  // cancelled when there is an answer
    };
    struct Link {
        Connection* connection = nullptr;
        std::uint64_t number = 0;
        std::map<std::int64_t, std::shared_ptr<Question>> questions;
    };

    asio::awaitable<bool> open(Context& context, const std::string& node_id);
    static void end(Question& question);
    void settle(const std::string& node_id, std::uint64_t number, std::int64_t id,
                std::optional<OutputPiece> piece);

    asio::any_io_executor executor_;
    std::map<std::string, Link> links_;  // by node id
    std::uint64_t last_link_ = 0;
    std::int64_t last_question_ = 0;
};

}  // namespace rpic

#include "master/bulk_links.hpp"

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "master/context.hpp"

namespace rpic {

BulkLinks::Place::Place(BulkLinks& links, std::string node_id, Connection& connection)
    : links_(links), node_id_(std::move(node_id)), number_(++links.last_link_) {
    auto& link = links_.links_[node_id_];
    if (link.connection != nullptr) link.connection->close("replaced by a newer bulk link");
    for (const auto& [id, question] : link.questions) end(*question);
    link.questions.clear();
    link.connection = &connection;
    link.number = number_;
}

BulkLinks::Place::~Place() {
    const auto found = links_.links_.find(node_id_);
    if (found == links_.links_.end() || found->second.number != number_) return;
    for (const auto& [id, question] : found->second.questions) end(*question);
    links_.links_.erase(found);
}

void BulkLinks::Place::answered(const Output& answer, std::string_view bytes) {
    OutputPiece piece;
    piece.answer = answer;
    piece.bytes = bytes;
    links_.settle(node_id_, number_, answer.id, std::move(piece));
}

void BulkLinks::Place::failed(std::int64_t id) {
    links_.settle(node_id_, number_, id, std::nullopt);
}

void BulkLinks::end(Question& question) {
    question.ended = true;
    question.over.cancel();
}

void BulkLinks::settle(const std::string& node_id, std::uint64_t number, std::int64_t id,
                       std::optional<OutputPiece> piece) {
    const auto link = links_.find(node_id);
    if (link == links_.end() || link->second.number != number) return;
    const auto found = link->second.questions.find(id);
    if (found == link->second.questions.end()) return;
    found->second->piece = std::move(piece);
    end(*found->second);
    link->second.questions.erase(found);
}

/// Tells the node to connect; false if it does not.
asio::awaitable<bool> BulkLinks::open(Context& context, const std::string& node_id) {
    const auto* node = context.cluster.find(node_id);
    if (node == nullptr) co_return false;
    const auto session = context.sessions.all().find(node->session);
    if (session == context.sessions.all().end()) co_return false;
    const OpenBulk request;
    session->second.connection->send(request);
    const auto deadline = Clock::now() + limits::bulk_open_time;
    const Duration pause = std::chrono::milliseconds(5);
    while (!links_.contains(node_id) && Clock::now() < deadline) co_await sleep_for(pause);
    co_return links_.contains(node_id);
}

asio::awaitable<std::optional<OutputPiece>> BulkLinks::read_output(Context& context,
                                                                   std::string node_id,
                                                                   ReadOutput question) {
    if (!links_.contains(node_id)) {
        const bool opened = co_await open(context, node_id);
        if (!opened) co_return std::nullopt;
    }
    auto& link = links_.at(node_id);
    if (link.questions.size() >= limits::node_questions) co_return std::nullopt;
    const Duration waiting = question.wait ? Duration(limits::output_wait) : Duration::zero();
    auto asked = std::make_shared<Question>(executor_, limits::request_time + waiting);
    question.id = ++last_question_;
    link.questions[question.id] = asked;
    link.connection->send(question);
    // Whoever stops waiting leaves nothing behind.
    struct Forget {
        BulkLinks& links;
        const std::string& node_id;
        std::int64_t id;
        ~Forget() {
            const auto found = links.links_.find(node_id);
            if (found != links.links_.end()) found->second.questions.erase(id);
        }
    };
    const Forget forget{*this, node_id, question.id};
    if (!asked->ended) {
        boost::system::error_code ignored;
        auto token = asio::redirect_error(asio::use_awaitable, ignored);
        co_await asked->over.async_wait(token);
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none)
            throw boost::system::system_error(asio::error::operation_aborted);
    }
    co_return std::move(asked->piece);
}

}  // namespace rpic

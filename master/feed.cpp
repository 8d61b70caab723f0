#include "common/json.hpp"
#include "common/limits.hpp"
#include "master/context.hpp"

namespace rpic {

namespace {

/// Sends nodes in frames below the frame limit: a page is as many as fit.
class PagedNodes {
  public:
    explicit PagedNodes(Connection& connection) : connection_(connection) {}

    void add(NodeView view) {
        const auto size = json::serialize(to_json(view)).size();
        if (bytes_ + size > limits::page_bytes) flush();
        bytes_ += size;
        message_.nodes.push_back(std::move(view));
    }
    void gone(std::vector<std::string> ids) {
        if (ids.empty()) return;
        message_.gone = std::move(ids);
        flush();
    }
    void complete() {
        message_.complete = true;
        flush();
    }
    void flush() {
        if (message_.nodes.empty() && message_.gone.empty() && !message_.complete) return;
        connection_.send(message_);
        message_ = {};
        bytes_ = 0;
    }

  private:
    Connection& connection_;
    NodesChanged message_;
    std::size_t bytes_ = 0;
};

bool is_behind(const Connection& connection) {
    return connection.outbox_bytes() > limits::outbox_soft_bytes;
}

/// One walk over the nodes, by id, telling those that changed since the walk before. A watcher that
/// reads slowly is told in parts, a part a turn.
void tell_nodes(const Context& context, Sessions::Session& session, Instant now) {
    const auto& cluster = context.cluster;
    PagedNodes page(*session.connection);
    if (session.walked.empty()) {
        session.walk_version = cluster.version();
        if (auto gone = cluster.gone_since(session.seen); gone && session.complete)
            page.gone(std::move(*gone));
    }
    for (auto node = cluster.nodes().upper_bound(session.walked); node != cluster.nodes().end();
         ++node) {
        if (!session.complete || node->second->changed > session.seen)
            page.add(node_view(context, *node->second, now));
        session.walked = node->first;
        if (is_behind(*session.connection)) return page.flush();
    }
    page.flush();
    if (!session.complete) page.complete();
    session.complete = true;
    session.seen = session.walk_version;
    session.walked.clear();
}

void feed(Context& context, Sessions::Session& session, Instant now) {
    auto& connection = *session.connection;
    if (is_behind(connection)) return;
    const bool news = session.seen != context.cluster.version();
    if (!session.complete || !session.walked.empty() || news) tell_nodes(context, session, now);
    if (now - session.master_told >= limits::heartbeat) {
        MasterChanged told;
        told.master = master_view(context);
        connection.send(told);
        session.master_told = now;
    }
}

}  // namespace

void feed_watchers(Context& context, Instant now) {
    for (auto& [id, session] : context.sessions.all()) {
        if (!session.watching) continue;
        // Nodes went away longer ago than is remembered: the watcher starts from nothing.
        if (session.complete && !context.cluster.gone_since(session.seen))
            session.connection->end("fell too far behind the changes of nodes");
        else
            feed(context, session, now);
    }
}

}  // namespace rpic

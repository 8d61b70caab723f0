#include "common/json.hpp"
#include "common/limits.hpp"
#include "master/context.hpp"

namespace rpic {

namespace {

/// Sends the nodes in frames below the frame limit: a page is as many as fit.
class PagedNodes {
  public:
    explicit PagedNodes(Connection& connection) : connection_(connection) {}

    void add(NodeView view) {
        const auto size = json::serialize(to_json(view)).size();
        if (bytes_ + size > limits::page_bytes) flush();
        bytes_ += size;
        message_.nodes.push_back(std::move(view));
    }
    void gone(std::vector<std::string> ids) { message_.gone = std::move(ids); }
    void complete() { message_.complete = true; }
    bool empty() const {
        return message_.nodes.empty() && message_.gone.empty() && !message_.complete;
    }
    void flush() {
        connection_.send(message_);
        message_ = {};
        bytes_ = 0;
    }

  private:
    Connection& connection_;
    NodesChanged message_;
    std::size_t bytes_ = 0;
};

void feed(Context& context, Sessions::Session& session, Instant now) {
    auto& connection = *session.connection;
    // Who is behind gets no more; the next turn tells the newest state of all that it missed.
    if (connection.outbox_bytes() > limits::outbox_soft_bytes) return;
    const auto& cluster = context.cluster;
    if (!session.complete || session.seen != cluster.version()) {
        PagedNodes page(connection);
        if (auto gone = cluster.gone_since(session.seen); gone && session.complete)
            page.gone(std::move(*gone));
        for (const auto& [id, node] : cluster.nodes())
            if (!session.complete || node->changed > session.seen) page.add(view_of(*node, now));
        if (!session.complete) page.complete();
        if (!page.empty()) page.flush();
        session.complete = true;
        session.seen = cluster.version();
    }
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

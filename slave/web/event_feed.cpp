#include "slave/web/event_feed.hpp"

#include <algorithm>

#include "common/limits.hpp"
#include "slave/web/view_json.hpp"

namespace rpic {

namespace asio = boost::asio;

EventFeed::Viewer::Viewer(EventFeed& feed, const asio::any_io_executor& executor,
                          std::function<void()> drop)
    : feed_(feed), drop_(std::move(drop)), filled_(executor) {
    feed_.refresh(Clock::now());
    push(feed_.latest_);
    feed_.viewers_.insert(this);
}

EventFeed::Viewer::~Viewer() {
    feed_.viewers_.erase(this);
}

asio::awaitable<EventFeed::Piece> EventFeed::Viewer::next() {
    while (outbox_.empty()) {
        const std::uint64_t seen = filled_.count();
        co_await filled_.wait(seen);
    }
    co_return outbox_.front();
}

void EventFeed::Viewer::sent() {
    pending_bytes_ -= outbox_.front()->size();
    outbox_.pop_front();
}

void EventFeed::Viewer::push(const Piece& piece) {
    if (dropped_) return;
    // One piece may be larger than the limit: a viewer that keeps up gets it all the same.
    const bool behind =
        !outbox_.empty() && pending_bytes_ + piece->size() > limits::web_viewer_outbox_bytes;
    if (behind) {
        dropped_ = true;
        ++feed_.dropped_;
        drop_();
        return;
    }
    outbox_.push_back(piece);
    pending_bytes_ += piece->size();
    filled_.notify();
}

EventFeed::EventFeed(const ClusterView& view) : view_(view) {
    // The comment keeps proxies from closing the stream; the event is for the page itself, which
    // is not told about comments and could not tell a dead link from a quiet cluster.
    keep_alive_ = std::make_shared<const std::string>(": keep-alive\n\nevent: alive\ndata: 1\n\n");
}

/// Makes the event of the present state unless the last one is it and is fresh.
void EventFeed::refresh(Instant now) {
    const bool fresh = latest_ && latest_version_ == view_.version &&
                       now - latest_made_ < limits::web_event_interval;
    if (fresh) return;
    std::string text = "event: state\ndata: ";
    text += state_json(view_, now);
    text += "\n\n";
    latest_ = std::make_shared<const std::string>(std::move(text));
    latest_version_ = view_.version;
    latest_made_ = now;
}

void EventFeed::tick(Instant now) {
    if (viewers_.empty()) {
        latest_.reset();
        sent_version_ = view_.version;
        kept_alive_ = now;
        return;
    }
    if (view_.version != sent_version_ && now >= pause_until_) {
        refresh(now);
        sent_version_ = latest_version_;
        for (Viewer* viewer : viewers_) viewer->push(latest_);
        // A picture of thousands of nodes takes a while to write: never more than a tenth of the
        // time goes into it.
        const Duration cost = Clock::now() - now;
        pause_until_ = now + std::max<Duration>(limits::web_event_interval, 10 * cost);
    }
    if (now - kept_alive_ >= limits::web_keep_alive) {
        kept_alive_ = now;
        for (Viewer* viewer : viewers_) viewer->push(keep_alive_);
    }
}

}  // namespace rpic

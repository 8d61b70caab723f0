#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "common/wakeup.hpp"
#include "slave/web/cluster_view.hpp"

namespace rpic {

/// Turns the changes of a ClusterView into events of the event stream (the section "Server-sent
/// events" of the HTML standard). Each event is made once, however many are watching.
class EventFeed {
  public:
    using Piece = std::shared_ptr<const std::string>;

    /// One who watches: what is still to be sent to it. Belongs to the feed as long as it lives.
    class Viewer {
      public:
        /// Begins with the whole state. `drop` is called at most once, when the viewer has fallen
        /// behind by more than limits::web_viewer_outbox_bytes.
        Viewer(EventFeed& feed, const boost::asio::any_io_executor& executor,
               std::function<void()> drop);
        ~Viewer();
        Viewer(const Viewer&) = delete;
        Viewer& operator=(const Viewer&) = delete;

        /// The next piece to send, as soon as there is one; sent() takes it away.
        boost::asio::awaitable<Piece> next();
        void sent();

      private:
        friend class EventFeed;
        void push(const Piece& piece);

        EventFeed& feed_;
        std::function<void()> drop_;
        std::deque<Piece> outbox_;
        std::size_t pending_bytes_ = 0;
        bool dropped_ = false;
        Wakeup filled_;
    };

    explicit EventFeed(const ClusterView& view);

    /// To be called a few times a second: sends what changed, at most every
    /// limits::web_event_interval, and the keep-alive.
    void tick(Instant now);

    std::size_t viewers() const { return viewers_.size(); }
    std::uint64_t dropped() const { return dropped_; }  // since the start

  private:
    void refresh(Instant now);

    const ClusterView& view_;
    std::unordered_set<Viewer*> viewers_;
    Piece latest_;
    std::uint64_t latest_version_ = 0;  // of the view that `latest_` shows
    Instant latest_made_{};
    Instant pause_until_{};
    std::uint64_t sent_version_ = 0;
    Piece keep_alive_;
    Instant kept_alive_{};
    std::uint64_t dropped_ = 0;
};

}  // namespace rpic

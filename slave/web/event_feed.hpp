#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>

#include "common/wakeup.hpp"
#include "slave/web/cluster_view.hpp"
#include "slave/web/verdict.hpp"

namespace rpic {

/// Turns the changes of a ClusterView into events of the event stream (the section "Server-sent
/// events" of the HTML standard). Each event is made once, however many are watching, and the
/// newest are remembered for those who come back after a broken connection.
class EventFeed {
  public:
    using Piece = std::shared_ptr<const std::string>;

    /// One who watches: what is still to be sent to it. Belongs to the feed as long as it lives.
    class Viewer {
      public:
        /// Goes on behind the event with the id `last`, if that is remembered; else begins with
        /// the whole state. `drop` is called at most once, when more than
        /// limits::web_viewer_outbox_bytes wait behind what is being sent to the viewer.
        Viewer(EventFeed& feed, const boost::asio::any_io_executor& executor, std::string_view last,
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
        std::size_t waiting_bytes_ = 0;  // behind the first one, which is being sent
        bool dropped_ = false;
        Wakeup filled_;
    };

    explicit EventFeed(ClusterView& view) : view_(view) {}

    /// To be called a few times a second: sends what changed, at most every
    /// limits::web_event_interval, and the keep-alive.
    void tick(Instant now);

    /// The id of the last event.
    std::string last_id() const;

    std::size_t viewers() const { return viewers_.size(); }
    std::uint64_t dropped() const { return dropped_; }  // since the start

  private:
    struct Remembered {
        std::uint64_t number;
        Piece piece;
    };

    Piece state(Instant now);
    bool resume(Viewer& viewer, std::string_view last);
    void tell(std::string_view type, const std::string& data);
    void tell_changes(Instant now);
    void send(const Piece& piece);
    void forget();

    ClusterView& view_;
    std::unordered_set<Viewer*> viewers_;
    std::uint64_t number_ = 0;           // of the last event
    std::deque<Remembered> remembered_;  // limits::web_resume_bytes at most
    std::size_t remembered_bytes_ = 0;
    bool listening_ = false;  // changes are told, or remembered for those who come back
    Instant last_viewer_{};   // when there was one
    Piece state_;
    std::uint64_t state_version_ = 0;  // of the view that `state_` shows
    std::uint64_t state_number_ = 0;
    Instant state_made_{};
    PageVerdict verdict_;
    Instant pause_until_{};
    Instant kept_alive_{};
    std::uint64_t dropped_ = 0;
};

}  // namespace rpic

#include "slave/web/event_feed.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/limits.hpp"
#include "slave/web/view_json.hpp"

namespace rpic {

namespace asio = boost::asio;

EventFeed::Viewer::Viewer(EventFeed& feed, const asio::any_io_executor& executor,
                          std::string_view last, std::function<void()> drop)
    : feed_(feed), drop_(std::move(drop)), filled_(executor) {
    if (!feed_.resume(*this, last)) push(feed_.state(Clock::now()));
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
    outbox_.pop_front();
    if (!outbox_.empty()) waiting_bytes_ -= outbox_.front()->size();
}

void EventFeed::Viewer::push(const Piece& piece) {
    if (dropped_) return;
    // One piece may be larger than the limit, as the state of many nodes is. The one that is being
    // sent does not count: a slow link that was cut within the state would begin it again for ever.
    // Who takes nothing of it is closed after limits::write_stall.
    const bool behind =
        waiting_bytes_ > 0 && waiting_bytes_ + piece->size() > limits::web_viewer_outbox_bytes;
    if (behind) {
        dropped_ = true;
        ++feed_.dropped_;
        drop_();
        return;
    }
    if (!outbox_.empty()) waiting_bytes_ += piece->size();
    outbox_.push_back(piece);
    filled_.notify();
}

std::string EventFeed::last_id() const {
    return view_.stream + '-' + std::to_string(number_);
}

/// The event of the present state, made anew unless the last one is it and is fresh.
EventFeed::Piece EventFeed::state(Instant now) {
    // What was not taken note of before is part of this state.
    if (!listening_) view_.take_changes();
    listening_ = true;
    last_viewer_ = now;
    const bool fresh = state_ && state_version_ == view_.version && state_number_ == number_ &&
                       now - state_made_ < limits::web_event_interval;
    if (fresh) return state_;
    const auto id = last_id();
    std::string text = "id: " + id + "\nevent: state\ndata: ";
    text += state_json(view_, id, now);
    text += "\n\n";
    state_ = std::make_shared<const std::string>(std::move(text));
    state_version_ = view_.version;
    state_number_ = number_;
    state_made_ = now;
    return state_;
}

/// False if what is missing is not remembered.
bool EventFeed::resume(Viewer& viewer, std::string_view last) {
    const auto prefix = view_.stream + '-';
    if (!listening_ || !last.starts_with(prefix)) return false;
    last.remove_prefix(prefix.size());
    std::uint64_t number = 0;
    const auto [rest, error] = std::from_chars(last.data(), last.data() + last.size(), number);
    if (error != std::errc() || rest != last.data() + last.size() || number > number_) return false;
    const auto first = number_ - remembered_.size();  // the last one that is forgotten
    if (number < first) return false;
    for (const auto& event : remembered_)
        if (event.number > number) viewer.push(event.piece);
    return true;
}

void EventFeed::send(const Piece& piece) {
    for (Viewer* viewer : viewers_) viewer->push(piece);
}

void EventFeed::tell(std::string_view type, const std::string& data) {
    ++number_;
    std::string text = "id: " + last_id() + "\nevent: ";
    text += type;
    text += "\ndata: " + data + "\n\n";
    const auto piece = std::make_shared<const std::string>(std::move(text));
    remembered_bytes_ += piece->size();
    remembered_.push_back({number_, piece});
    while (remembered_bytes_ > limits::web_resume_bytes) {
        remembered_bytes_ -= remembered_.front().piece->size();
        remembered_.pop_front();
    }
    send(piece);
}

void EventFeed::forget() {
    remembered_.clear();
    remembered_bytes_ = 0;
    state_.reset();
}

void EventFeed::tell_changes(Instant now) {
    const auto changes = view_.take_changes();
    if (changes.everything) {
        // What is remembered leads to a picture that is no more.
        forget();
        ++number_;
        send(state(now));
        return;
    }
    if (changes.master) tell("master", master_event(view_, now));
    if (!changes.nodes.empty()) tell("nodes", nodes_event(view_, changes.nodes, now));
    if (!changes.jobs.empty()) tell("jobs", jobs_event(view_, changes.jobs, now));
    if (!changes.runs.empty()) tell("tasks", tasks_event(view_, changes.runs, now));
    if (!changes.events.empty()) tell("events", events_event(view_, changes.events, now));
    auto verdict = verdict_of(view_);
    if (verdict == verdict_) return;
    verdict_ = std::move(verdict);
    tell("verdict", json::serialize(to_json(verdict_)));
}

void EventFeed::tick(Instant now) {
    view_.drop_old(now);
    if (!viewers_.empty()) last_viewer_ = now;
    if (!listening_ || now - last_viewer_ > limits::web_resume_time) {
        // Whoever comes now begins with the whole state.
        if (listening_) forget();
        listening_ = false;
        view_.take_changes();
        return;
    }
    if (now >= pause_until_) {
        tell_changes(now);
        // A picture of thousands of nodes takes a while to write: never more than a tenth of the
        // time goes into it.
        const Duration cost = Clock::now() - now;
        pause_until_ = now + std::max<Duration>(limits::web_event_interval, 10 * cost);
    }
    if (now - kept_alive_ >= limits::web_keep_alive) {
        kept_alive_ = now;
        // The comment keeps proxies from closing the stream; the event is for the page itself,
        // which is not told about comments and could not tell a dead link from a quiet cluster.
        send(std::make_shared<const std::string>(
            ": keep-alive\n\nevent: alive\ndata: " + alive_event(view_, now) + "\n\n"));
    }
}

}  // namespace rpic

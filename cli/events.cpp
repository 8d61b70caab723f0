#include <charconv>
#include <cstdio>

#include "cli/follow.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

constexpr Duration silence = std::chrono::seconds(10);

std::string event_line(const EventView& event) {
    std::string kind = event.kind;
    kind.resize(std::max<std::size_t>(kind.size(), 18), ' ');
    std::string about = event.node;
    if (!event.job.empty()) about += (about.empty() ? "" : " ") + ("job " + event.job);
    if (event.task) about += "." + std::to_string(*event.task);
    about.resize(std::max<std::size_t>(about.size(), 16), ' ');
    return event.at + "  " + kind + "  " + about + "  " +
           printable(event.text, limits::log_line_chars);
}

void print_event(const EventView& event, bool as_json) {
    const auto text = as_json ? json::serialize(to_json(event)) : event_line(event);
    write_now(stdout, text + "\n");
}

/// One connection's time of events. True: there will be no more of them.
bool follow_once(Client& client, WatchEvents& request, bool as_json) {
    const auto id = client.send(request);
    for (;;) {
        auto reply = client.wait_for(id, silence);
        if (!reply) {
            // A master that lost its power says nothing, either: it is asked something.
            client.ask<Status>(GetStatus{});
            continue;
        }
        const auto page = Client::take<EventList>(std::move(*reply));
        for (const auto& event : page.events) {
            print_event(event, as_json);
            request.since = event.id;
        }
        if (!request.follow && !page.more) return true;
    }
}

}  // namespace

int verb_events(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    WatchEvents request;
    const bool f = arguments.take_toggle("-f");
    request.follow = arguments.take_toggle("--follow") || f;
    if (arguments.take_toggle("--new")) request.since = -1;
    if (const auto since = arguments.take_value("--since")) {
        const auto end = since->data() + since->size();
        const auto [rest, error] = std::from_chars(since->data(), end, request.since);
        if (error != std::errc() || rest != end)
            throw UsageError("bad value \"" + printable(*since, limits::log_text_chars) +
                             "\" for --since: expected the id of an event");
    }
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    if (invocation.format == Format::json && !request.follow) {
        json::object value;
        value["events"] = to_json(client.ask_all(request, &EventList::events));
        print_json(std::move(value));
        return exit_code::ok;
    }
    const bool as_json = invocation.machine_readable();
    across_restarts(client, [&] { return follow_once(client, request, as_json); });
    return exit_code::ok;
}

}  // namespace rpic

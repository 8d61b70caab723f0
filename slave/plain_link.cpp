#include <boost/system/system_error.hpp>

#include "common/code_pages.hpp"
#include "common/dial.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/plain_messages.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "slave/master_link.hpp"

namespace rpic {

namespace {

/// Waits for the answer to "uuid". An older master of the texts answers with bad_message.
asio::awaitable<void> wait_for_uuid(Connection& link, std::string& uuid) {
    for (;;) {
        const Frame frame = co_await link.next_frame();
        ParseArena arena;
        const auto envelope = open_envelope(frame.json, arena);
        if (envelope.type == "bad_message") co_return;
        if (envelope.type == "uuid" && envelope.payload->is_string()) {
            uuid = printable(envelope.payload->get_string(), limits::name_chars);
            co_return;
        }
    }
}

/// The node of the seeds' slave_details, as far as it is told.
NodeView node_from_details(std::string_view uuid, const json::value& told) {
    NodeView node;
    node.id = uuid;
    node.name = uuid;
    node.state = "online";  // the texts' master knows only those who are connected
    node.role = "basic";
    node.plain = true;
    const auto* object = told.if_object();
    if (object == nullptr) return node;
    const auto take = [&](const char* name, std::string& into) {
        if (const auto* value = object->if_contains(name); value && value->is_string())
            into = printable(value->get_string(), limits::text_chars);
    };
    take("address", node.address);
    take("name", node.name);
    take("state", node.state);
    if (const auto* machine = object->if_contains("computer_details");
        machine && machine->is_object()) {
        const auto details = plain::details_from_json(*machine);
        node.hostname = details.machine.hostname;
        node.cpu = details.machine.cpu;
        node.cpu_cores = details.machine.cpu_cores;
        node.ram_bytes = details.machine.ram_bytes;
        node.vitals.cpu_percent = details.cpu_percent_used;
    }
    return node;
}

}  // namespace

asio::awaitable<void> PlainLink::run_once(HostPort target) {
    joined_ = false;
    Connection link = co_await dial(target);
    link.set_frame_limits(limits::control_frame_bytes, 0);
    if (view_ != nullptr) view_->master = format_host_port(target.host, target.port);
    try {
        co_await introduce(link);
        joined_ = true;
        release_code_pages();
        co_await until_first_failure(read(link), beat(link));
    } catch (const BadMessageError& error) {
        throw DisconnectionError(std::string("the master sent ") + error.what());
    }
}

/// As in the texts: ask for a uuid, tell what machine this is, ask what machine the master is.
asio::awaitable<void> PlainLink::introduce(Connection& link) {
    uuid_.clear();
    link.send_bytes(plain::text_frame("info", "uuid"));
    co_await until_first_failure(wait_for_uuid(link, uuid_), sleep_for(limits::plain_uuid_time));
    const bool own = uuid_.empty();
    if (own) uuid_ = random_hex(16);
    log_info("joined the master at " + link.peer() + " as " + uuid_ +
             (own ? " (made here: this master gives no uuid)" : ""));
    plain::Details details;
    details.machine = machine_.facts();
    details.cpu_percent_used = machine_.vitals(Clock::now()).cpu_percent;
    const auto payload = plain::details_to_json(details);
    link.send_bytes(plain::json_frame("computer_details", payload));
    link.send_bytes(plain::text_frame("info", "computer_details"));
}

asio::awaitable<void> PlainLink::beat(Connection& link) {
    const auto alive = plain::text_frame("message", "I am still alive, client: " + uuid_);
    for (;;) {
        link.send_bytes(alive);
        if (view_ != nullptr) {
            link.send_bytes(plain::text_frame("info", "computer_details"));
            link.send_bytes(plain::text_frame("info", "slave_details"));
        }
        co_await sleep_for(options_.heartbeat);
        // These masters answer no heartbeat; what they do not take in is how silence shows.
        link.close_if_overdue(Clock::now());
    }
}

asio::awaitable<void> PlainLink::read(Connection& link) {
    for (;;) {
        Frame frame;
        while (link.take_frame(frame)) take(frame);
        co_await link.receive();
    }
}

void PlainLink::take(const Frame& frame) {
    ParseArena arena;
    const auto envelope = open_envelope(frame.json, arena);
    if (log_enabled(Severity::debug))
        log_debug("the master sent " + printable(frame.json, limits::log_text_chars));
    if (view_ == nullptr) return;
    if (envelope.type == "master_info" && envelope.payload->is_object()) {
        const auto details = plain::details_from_json(*envelope.payload);
        view_->master_view.emplace();
        view_->master_view->machine = details.machine;
        view_->master_view->vitals.cpu_percent = details.cpu_percent_used;
        view_->touch_master();
    } else if (const auto* slaves = envelope.payload->if_object();
               slaves != nullptr && envelope.type == "slave_details") {
        view_->begin_anew();
        for (const auto& slave : *slaves) {
            const std::string uuid = printable(slave.key(), limits::name_chars);
            view_->put_node(node_from_details(uuid, slave.value()), Clock::now());
        }
        view_->starting = false;
        view_->connected = true;
        view_->trouble.clear();
        view_->touch_master();
    } else {
        return;
    }
    view_->updated = Clock::now();
    view_->touch();
}

}  // namespace rpic

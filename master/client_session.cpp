#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/mp11/list.hpp>
#include <deque>
#include <set>

#include "common/json.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "master/answers.hpp"
#include "master/blob_desk.hpp"
#include "master/job_desk.hpp"
#include "master/peers.hpp"
#include "master/viewers.hpp"

namespace rpic {

namespace {

/// The role that a key must allow for a request. Clients may look; what changes jobs needs
/// `submit`, what changes the cluster `admin`.
template <class Request>
std::string_view needed_role(const Request&) {
    using namespace boost::mp11;
    using Submitting = mp_list<Submit, CancelJobs, RetryJob, HoldJobs, SetPriority, PutChunk>;
    using Ruling = mp_list<GetJoinKey, CreateToken, ListTokens, RevokeToken, RemoveNode, ChangeNode,
                           MakeBackup>;
    if (mp_contains<Ruling, Request>::value) return "admin";
    return mp_contains<Submitting, Request>::value ? "submit" : "viewer";
}

/// What a client may ask. Answers that promise something are sent after it is on disk.
class Client {
  public:
    Client(Context& context, Connection& connection, SessionId session, KeyRecord key)
        : context_(context),
          connection_(connection),
          session_(session),
          key_(std::move(key)),
          jobs_(context, connection, key_.name.empty() ? key_.role : key_.name,
                role_allows(key_.role, "admin")),
          blobs_(context.files, context.blobs, connection),
          backups_(context.files, context.backups, connection) {}

    asio::awaitable<void> answer(FromClient request, std::string raw) {
        RequestError failure;
        std::int64_t id = 0;
        try {
            batch_.clear();
            done_.clear();
            raw_ = std::move(raw);
            auto work = std::visit(
                [&](auto& message) {
                    if constexpr (requires { message.id; }) id = message.id;
                    return carry_out(message);
                },
                request);
            co_await std::move(work);
            co_return;
        } catch (const RequestError& error) {
            failure = error;
        } catch (const FileError& error) {
            failure = {error.code, error.what()};
        } catch (const DisconnectionError&) {
            throw;
        } catch (const boost::system::system_error&) {
            throw;  // the session ends
        } catch (const std::runtime_error& error) {
            // What the store says when its disk does not do what it should.
            log_rarely(Severity::warning, "requests", "failed", error.what());
            failure = {"failed", error.what()};
        }
        ++context_.counters.requests_failed;
        Failed failed;
        failed.id = id;
        failed.code = failure.code;
        failed.reason = failure.reason;
        connection_.send(failed);
    }

  private:
    /// What the desks serve, and what this class answers itself once it is on disk.
    template <class Request>
    asio::awaitable<void> carry_out(Request& message) {
        need(needed_role(message));
        if constexpr (std::is_same_v<Request, PutChunk>) {
            co_await blobs_.serve(std::move(message), std::move(raw_));
        } else if constexpr (std::is_same_v<Request, GetChunk>) {
            auto& desk = message.blob == context_.backup_blob ? backups_ : blobs_;
            co_await desk.serve(std::move(message));
        } else if constexpr (requires { blobs_.serve(std::move(message)); }) {
            co_await blobs_.serve(std::move(message));
        } else if constexpr (requires { jobs_.serve(std::move(message)); }) {
            co_await jobs_.serve(std::move(message));
        } else {
            (*this)(message);
            if (!batch_.empty()) context_.turns.record(std::move(batch_));
            if (writes_) co_await context_.turns.settled();
            co_await send_done();
        }
    }

    /// As fast as the client reads.
    asio::awaitable<void> send_done() {
        const Duration pause = std::chrono::milliseconds(5);
        for (const auto& frame : done_) {
            while (!connection_.closed() && connection_.outbox_bytes() > limits::outbox_soft_bytes)
                co_await sleep_for(pause);
            connection_.send_bytes(frame);
        }
    }

    /// A key may be revoked or expire while it is in use.
    void need(std::string_view role) {
        if (context_.keyring.find(key_.identity, wall_seconds()) == nullptr)
            throw KeyRefusedError("its key was removed");
        if (role_allows(key_.role, role)) return;
        ++context_.counters.role_refused;
        throw RequestError{"forbidden", "this needs the role " + std::string(role) +
                                            "; the key in use has the role " + key_.role};
    }

    void operator()(const ListNodes& request) {
        std::vector<NodeView> nodes;
        const auto now = Clock::now();
        for (const auto& [id, node] : context_.cluster.nodes())
            nodes.push_back(node_view(context_, *node, now));
        std::sort(nodes.begin(), nodes.end(),
                  [](const auto& a, const auto& b) { return a.name < b.name; });
        done_ = paged(request.id, nodes, &NodeList::nodes);
    }

    void operator()(const GetStatus& request) {
        auto status = status_of(context_);
        status.id = request.id;
        done_.push_back(encode(status));
    }

    void operator()(const GetJoinKey& request) {
        writes_ = true;
        if (request.rotate) {
            const auto old = context_.keyring.join_key()->identity;
            context_.keyring.drop(old);
            batch_.emplace_back(DropKey{old});
            const auto record = add_key(context_, "join", "", "", batch_);
            batch_.emplace_back(PutSecretFile{context_.join_key_file(), record.key + "\n"});
            log_info(connection_.peer() + ": renewed the join key");
        }
        JoinKey answer;
        answer.id = request.id;
        answer.join_key = context_.keyring.join_key()->key;
        done_.push_back(encode(answer));
    }

    void operator()(const CreateToken& request) {
        writes_ = true;
        if (request.role != "viewer" && request.role != "submit" && request.role != "admin")
            throw RequestError{"bad_request", "a token's role is viewer, submit or admin"};
        if (request.ttl_seconds < 0)
            throw RequestError{"bad_request", "a token cannot live for less than no time"};
        if (context_.keyring.tokens().size() >= limits::tokens)
            throw RequestError{"full", "there are " + std::to_string(limits::tokens) +
                                           " tokens: revoke some first"};
        auto name = node_name(request.name);
        if (name != request.name)
            throw RequestError{"bad_request", "a name has letters, digits, '.', '_' and '-'"};
        for (int number = 1; name.empty(); ++number) {
            name = request.role + "-" + std::to_string(number);
            if (context_.keyring.token(name) != nullptr) name.clear();
        }
        if (context_.keyring.token(name) != nullptr)
            throw RequestError{"conflict", "there is a token named " + name +
                                               ": choose another name, or revoke that one"};
        KeyRecord record;
        record.key = make_key();
        record.identity = key_identity(record.key);
        record.role = request.role;
        record.name = name;
        record.created_at = wall_seconds();
        if (request.ttl_seconds > 0) record.expires_at = record.created_at + request.ttl_seconds;
        context_.keyring.add(record);
        batch_.emplace_back(PutKey{record});
        TokenCreated answer;
        answer.id = request.id;
        answer.token = record.key;
        answer.name = name;
        done_.push_back(encode(answer));
        log_info(connection_.peer() + ": made the token " + name + " (" + record.role + ")");
    }

    void operator()(const ListTokens& request) {
        writes_ = true;
        std::vector<TokenView> tokens;
        for (const auto* record : context_.keyring.tokens()) {
            TokenView view;
            view.name = record->name;
            view.role = record->role;
            view.created_at = rfc3339(record->created_at);
            if (record->expires_at != 0) view.expires_at = rfc3339(record->expires_at);
            tokens.push_back(std::move(view));
        }
        done_ = paged(request.id, tokens, &TokenList::tokens);
    }

    void operator()(const RevokeToken& request) {
        writes_ = true;
        const auto* token = context_.keyring.token(request.name);
        if (token == nullptr)
            throw RequestError{"not_found", "there is no token named " +
                                                printable(request.name, limits::name_chars)};
        log_info(connection_.peer() + ": revoked the token " + token->name);
        const std::string identity = token->identity;
        batch_.emplace_back(DropKey{identity});
        context_.keyring.drop(identity);
        context_.sessions.end_clients_of(identity, session_, "its token was revoked");
        finish(request.id);
    }

    void operator()(const RemoveNode& request) {
        writes_ = true;
        Effects effects;
        if (!context_.cluster.remove(Clock::now(), request.node, effects))
            throw RequestError{"not_found", "there is no node named " +
                                                printable(request.node, limits::name_chars)};
        context_.turns.add(std::move(effects));
        finish(request.id);
    }

    void operator()(const Bye&) { throw DisconnectionError("it said goodbye"); }

    void finish(std::int64_t id) {
        Done answer;
        answer.id = id;
        done_.push_back(encode(answer));
    }

    Context& context_;
    Connection& connection_;
    SessionId session_;
    KeyRecord key_;
    JobDesk jobs_;
    BlobDesk blobs_;
    BlobDesk backups_;
    std::string raw_;  // the tail of the request
    bool writes_ = false;
    StoreBatch batch_;
    std::vector<std::string> done_;  // frames to send once the batch is on disk
};

/// Requests that were read and wait for their turn. A request may take as long as a job runs, so
/// they are read beside it: whoever hangs up is noticed at once.
struct Waiting {
    explicit Waiting(const asio::any_io_executor& executor) : changed(executor) {}
    struct Request {
        std::string json;
        std::string raw;
    };
    std::deque<Request> requests;
    std::deque<FromClient> watches;  // taken care of by others, so that nobody waits for them
    Wakeup changed;
};

asio::awaitable<void> read_requests(Connection& connection, Waiting& waiting) {
    for (;;) {
        while (waiting.requests.size() >= limits::requests_ahead) {
            const auto seen = waiting.changed.count();
            co_await waiting.changed.wait(seen);
        }
        const Frame frame = co_await connection.next_frame();
        waiting.requests.push_back({std::string(frame.json), std::string(frame.raw)});
        waiting.changed.notify();
    }
}

/// Answered whenever something happens, which may be never: what comes behind it must not wait.
bool waits_for_news(const FromClient& request) {
    if (const auto* output = std::get_if<ReadOutput>(&request)) return output->wait;
    return std::holds_alternative<WatchJobs>(request) ||
           std::holds_alternative<WatchEvents>(request);
}

asio::awaitable<void> hand_over(Waiting& waiting, FromClient request) {
    while (waiting.watches.size() >= limits::requests_ahead) {
        const auto seen = waiting.changed.count();
        co_await waiting.changed.wait(seen);
    }
    waiting.watches.push_back(std::move(request));
    waiting.changed.notify();
}

/// One of those who answer them. A client that watches more things at once than there are of these
/// waits until one of them is over.
asio::awaitable<void> answer_watcher(Client& client, Waiting& waiting) {
    for (;;) {
        auto seen = waiting.changed.count();
        while (waiting.watches.empty()) seen = co_await waiting.changed.wait(seen);
        auto request = std::move(waiting.watches.front());
        waiting.watches.pop_front();
        waiting.changed.notify();
        co_await client.answer(std::move(request), std::string());
    }
}

asio::awaitable<void> handle(Context& context, Connection& connection, Client& client,
                             Waiting& waiting, std::string json_text, std::string raw) {
    std::optional<FromClient> request;
    std::string complaint;
    {
        ParseArena arena;
        const auto envelope = open_envelope(json_text, arena);
        try {
            request = decode<FromClient>(envelope);
            if (!request)
                complaint =
                    "unknown type \"" + printable(envelope.type, limits::log_text_chars) + "\"";
        } catch (const BadMessageError& error) {
            complaint = error.what();
        }
    }
    if (!request) {
        answer_bad_message(context, connection, complaint);
        co_return;
    }
    if (waits_for_news(*request))
        co_await hand_over(waiting, std::move(*request));
    else
        co_await client.answer(std::move(*request), std::move(raw));
}

asio::awaitable<void> answer_requests(Context& context, Connection& connection, Client& client,
                                      Waiting& waiting) {
    const auto executor = co_await asio::this_coro::executor;
    for (;;) {
        auto seen = waiting.changed.count();
        while (waiting.requests.empty()) seen = co_await waiting.changed.wait(seen);
        auto request = std::move(waiting.requests.front());
        waiting.requests.pop_front();
        waiting.changed.notify();
        // Many requests in one segment are one turn each, so that others have theirs in between.
        co_await asio::post(executor, asio::use_awaitable);
        co_await handle(context, connection, client, waiting, std::move(request.json),
                        std::move(request.raw));
    }
}

/// One of the places for clients.
class ClientPlace {
  public:
    explicit ClientPlace(Context& context) : context_(context) { ++context_.clients; }
    ~ClientPlace() { --context_.clients; }
    ClientPlace(const ClientPlace&) = delete;
    ClientPlace& operator=(const ClientPlace&) = delete;

  private:
    Context& context_;
};

}  // namespace

asio::awaitable<void> serve_client(Context& context, Connection& connection, KeyRecord key) {
    // Whoever can revoke a token gets in, however many connections it has.
    const bool admin = role_allows(key.role, "admin");
    const auto places = limits::clients - (admin ? 0 : limits::admin_clients);
    if (context.clients >= places) {
        ++context.counters.clients_refused;
        const std::string reason =
            "the master serves " + std::to_string(places) + " clients already: try again";
        co_await refuse(connection, "full", reason);
    }
    const ClientPlace client_place(context);
    const Sessions::Place place(context.sessions, connection, true);
    place.session().key_identity = key.identity;
    connection.set_frame_limits(limits::control_frame_bytes, limits::chunk_bytes);
    Welcome welcome;
    welcome.version = version;
    welcome.protocol = protocol_version;
    welcome.cluster = context.cluster_id;
    connection.send(welcome);
    Client client(context, connection, place.id(), key);
    Client first(context, connection, place.id(), key);
    Client second(context, connection, place.id(), key);
    const auto executor = co_await asio::this_coro::executor;
    Waiting waiting(executor);
    co_await until_first_failure(read_requests(connection, waiting),
                                 answer_requests(context, connection, client, waiting),
                                 answer_watcher(first, waiting), answer_watcher(second, waiting));
}

void end_expired_clients(Context& context) {
    const auto now = wall_seconds();
    std::set<std::string> expired;
    for (const auto& [id, session] : context.sessions.all()) {
        const auto& identity = session.key_identity;
        if (!identity.empty() && context.keyring.find(identity, now) == nullptr)
            expired.insert(identity);
    }
    for (const auto& identity : expired)
        context.sessions.end_clients_of(identity, 0, "its token has expired");
}

}  // namespace rpic

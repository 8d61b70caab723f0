#include <map>

#include "master/peers.hpp"
#include "test/async/test_master.hpp"

using namespace rpic;
using namespace rpic::test;

/// Who may ask for what, request by request: the table is written down here once more, so that a
/// slip in the master's own shows.
namespace {

const std::map<std::string_view, std::string_view> least_role = {
    {"list_nodes", "viewer"},   {"get_status", "viewer"},  {"list_jobs", "viewer"},
    {"get_job", "viewer"},      {"explain_job", "viewer"}, {"watch_jobs", "viewer"},
    {"watch_events", "viewer"}, {"have_blobs", "viewer"},  {"get_chunk", "viewer"},
    {"read_output", "viewer"},  {"bye", "viewer"},         {"submit", "submit"},
    {"cancel_jobs", "submit"},  {"retry_job", "submit"},   {"hold_jobs", "submit"},
    {"set_priority", "submit"}, {"put_chunk", "submit"},   {"get_join_key", "admin"},
    {"create_token", "admin"},  {"list_tokens", "admin"},  {"revoke_token", "admin"},
    {"remove_node", "admin"},   {"change_node", "admin"},  {"make_backup", "admin"},
};

int rank(std::string_view role) {
    return role == "viewer" ? 1 : role == "submit" ? 2 : 3;
}

template <class Variant, class Function>
void for_each_message(Function function) {
    boost::mp11::mp_for_each<boost::mp11::mp_transform<std::type_identity, Variant>>(function);
}

/// Every request as a frame, with the id 7 and nothing else that makes sense.
std::vector<std::pair<std::string_view, std::string>> requests() {
    std::vector<std::pair<std::string_view, std::string>> all;
    for_each_message<FromClient>([&](auto tag) {
        using Request = typename decltype(tag)::type;
        Request request;
        if constexpr (requires { request.id; }) request.id = 7;
        all.emplace_back(Request::type_name, encode(request));
    });
    return all;
}

std::string key_with_role(TestMaster& master, std::string_view role, std::string_view node = {}) {
    StoreBatch batch;
    return add_key(master.context, role, std::string("of ") + std::string(role), node, batch).key;
}

asio::awaitable<Connection> client_with(TestMaster& master, std::string key) {
    const TlsClient tls(key);
    Connection link = co_await connect(master, tls);
    link.send(client_hello());
    co_await receive<ToClient>(link);
    co_return link;
}

/// One connection for each request, since some of them are answered again and again.
asio::awaitable<void> ask_everything(TestMaster& master, std::string role, std::string key) {
    for (const auto& [type, frame] : requests()) {
        if (type == Bye::type_name) continue;
        INFO(role << " asks " << type);
        REQUIRE(least_role.contains(type));
        Connection link = co_await client_with(master, key);
        const auto refused = master.context.counters.role_refused;
        link.send_bytes(frame);
        const auto answer = co_await receive<ToClient>(link);
        const auto* failed = std::get_if<Failed>(&answer);
        const bool forbidden = failed != nullptr && failed->code == "forbidden";
        CHECK(forbidden == (rank(role) < rank(least_role.at(type))));
        CHECK(master.context.counters.role_refused - refused == (forbidden ? 1 : 0));
        if (forbidden) CHECK(failed->id == 7);
        if (forbidden) CHECK(failed->reason.find(role) != std::string::npos);
    }
}

/// Everything that clients may say, on a link whose other side is none: not one of it is carried
/// out.
asio::awaitable<void> say_everything(TestMaster& master, Connection& link,
                                     std::vector<std::string_view> allowed) {
    for (const auto& [type, frame] : requests()) {
        if (std::find(allowed.begin(), allowed.end(), type) != allowed.end()) continue;
        INFO("a node asks " << type);
        const auto before = master.context.counters.bad_messages;
        link.send_bytes(frame);
        const Frame answer = co_await link.next_frame();
        CHECK(answer.json.starts_with("{\"type\":\"bad_message\""));
        CHECK(master.context.counters.bad_messages == before + 1);
    }
}

asio::awaitable<std::string> refusal_of_client(TestMaster& master, std::string key) {
    const TlsClient tls(key);
    Connection link = co_await connect(master, tls);
    link.send(client_hello());
    const auto answer = co_await receive<ToClient>(link);
    co_return std::get<Refused>(answer).code;
}

asio::awaitable<Connection> join_with(TestMaster& master, std::string key, std::string role,
                                      std::string fingerprint) {
    const TlsClient tls(key);
    Connection link = co_await connect(master, tls);
    auto hello = node_hello("pi1", fingerprint);
    hello.role = role;
    link.send(hello);
    co_return link;
}

asio::awaitable<std::string> code_of_refusal(Connection& link) {
    const auto answer = co_await receive<ToNode>(link);
    const auto* refused = std::get_if<Refused>(&answer);
    co_return refused == nullptr ? "" : refused->code;
}

}  // namespace

TEST_CASE("each request of each role is carried out or forbidden, as the table says", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        CHECK(requests().size() == least_role.size());
        co_await ask_everything(m, "viewer", key_with_role(m, "viewer"));
        co_await ask_everything(m, "submit", key_with_role(m, "submit"));
        co_await ask_everything(m, "admin", key_with_role(m, "admin"));
    }(master));
}

TEST_CASE("the keys of nodes open nothing that clients may do", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const auto join_code = co_await refusal_of_client(m, m.join_key());
        CHECK(join_code == "role");
        Connection node = co_await join_with(m, m.join_key(), "worker", "board:1");
        const auto first = co_await receive<ToNode>(node);
        const auto welcome = std::get<Welcome>(first);
        Resync resync;
        node.send(resync);
        co_await receive<ToNode>(node);
        const auto node_code = co_await refusal_of_client(m, welcome.node_key);
        CHECK(node_code == "role");
        const std::vector<std::string_view> control = {"bye"};
        co_await say_everything(m, node, control);

        const TlsClient own(welcome.node_key);
        Connection bulk = co_await connect(m, own);
        bulk.send(Bulk{});
        const std::vector<std::string_view> files = {"bye", "have_blobs", "put_chunk", "get_chunk"};
        co_await say_everything(m, bulk, files);

        Connection web = co_await join_with(m, m.join_key(), "webserver", "board:1");
        const auto second = co_await receive<ToNode>(web);
        const auto web_key = std::get<Welcome>(second).node_key;
        co_await say_everything(m, web, control);
        // A webserver may look at what it shows, as a client of its own.
        co_await ask_everything(m, "viewer", web_key);
        CHECK(m.context.cluster.nodes().size() == 2);
        CHECK(m.context.keyring.tokens().empty());
        CHECK(m.context.jobs.all().empty());
    }(master));
}

TEST_CASE("a node's key is for the role that it joined in", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        Connection worker = co_await join_with(m, m.join_key(), "worker", "board:1");
        const auto first = co_await receive<ToNode>(worker);
        const auto worker_key = std::get<Welcome>(first).node_key;
        Connection web = co_await join_with(m, m.join_key(), "webserver", "board:1");
        const auto second = co_await receive<ToNode>(web);
        const auto web_key = std::get<Welcome>(second).node_key;

        Connection worker_as_web = co_await join_with(m, worker_key, "webserver", "board:1");
        const auto one = co_await code_of_refusal(worker_as_web);
        CHECK(one == "role");
        Connection web_as_worker = co_await join_with(m, web_key, "worker", "board:1");
        const auto other = co_await code_of_refusal(web_as_worker);
        CHECK(other == "role");
        for (const std::string role : {"viewer", "submit", "admin"}) {
            const auto token = key_with_role(m, role);
            Connection person = co_await join_with(m, token, "worker", "board:2");
            const auto code = co_await code_of_refusal(person);
            CHECK(code == "role");
        }
        CHECK(m.context.counters.role_refused == 5);
        CHECK(m.context.cluster.nodes().size() == 2);
    }(master));
}

TEST_CASE("a second board with the key of a live node becomes another node", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        Connection node = co_await join_with(m, m.join_key(), "worker", "board:1");
        const auto first = co_await receive<ToNode>(node);
        const auto welcome = std::get<Welcome>(first);
        Connection copy = co_await join_with(m, welcome.node_key, "worker", "board:2");
        const auto second = co_await receive<ToNode>(copy);
        const auto other = std::get<Welcome>(second);
        CHECK(other.node_id != welcome.node_id);
        CHECK(other.name == "pi1-2");
        CHECK_FALSE(other.node_key.empty());
        CHECK(other.node_key != welcome.node_key);
        CHECK(m.context.counters.clones == 1);
        CHECK_FALSE(node.closed());
        CHECK(m.context.cluster.nodes().size() == 2);
    }(master));
}

TEST_CASE("the last places for clients are for those who can revoke a token", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const auto viewer = key_with_role(m, "viewer");
        std::vector<Connection> clients;
        clients.reserve(limits::clients);
        for (std::size_t i = 0; i + limits::admin_clients < limits::clients; ++i) {
            Connection client = co_await client_with(m, viewer);
            clients.push_back(std::move(client));
        }
        const TlsClient more(viewer);
        Connection late = co_await connect(m, more);
        late.send(client_hello());
        const auto answer = co_await receive<ToClient>(late);
        CHECK(std::get<Refused>(answer).code == "full");
        Connection admin = co_await client_with(m, m.admin_key());
        RevokeToken revoke;
        revoke.name = "of viewer";
        admin.send(revoke);
        const auto done = co_await receive<ToClient>(admin);
        CHECK(std::holds_alternative<Done>(done));
        const auto ended = co_await receive<ToClient>(clients[0]);
        CHECK(std::get<Refused>(ended).code == "removed");
    }(master));
}

TEST_CASE("who only listens is let go when his token expires", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        const auto key = key_with_role(m, "viewer");
        Connection client = co_await client_with(m, key);
        Connection admin = co_await client_with(m, m.admin_key());
        end_expired_clients(m.context);
        KeyRecord record = *m.context.keyring.find(key_identity(key), wall_seconds());
        m.context.keyring.drop(record.identity);
        record.expires_at = wall_seconds() - 1;
        m.context.keyring.add(record);
        end_expired_clients(m.context);
        const auto ended = co_await receive<ToClient>(client);
        CHECK(std::get<Refused>(ended).code == "removed");
        ListTokens list;
        admin.send(list);
        const auto answer = co_await receive<ToClient>(admin);
        CHECK(std::holds_alternative<TokenList>(answer));
    }(master));
}

TEST_CASE("there is a last client and a last token", "[roles]") {
    TestMaster master;
    master.run([](TestMaster& m) -> asio::awaitable<void> {
        for (std::size_t i = 0; i + 1 < limits::tokens; ++i) {
            KeyRecord record;
            record.identity = "token " + std::to_string(i);
            record.role = "viewer";
            record.name = "t" + std::to_string(i);
            m.context.keyring.add(record);
        }
        std::vector<Connection> clients;
        clients.reserve(limits::clients);
        for (std::size_t i = 0; i < limits::clients; ++i) {
            Connection client = co_await client_with(m, m.admin_key());
            clients.push_back(std::move(client));
        }
        const TlsClient admin(m.admin_key());
        Connection late = co_await connect(m, admin);
        late.send(client_hello());
        const auto answer = co_await receive<ToClient>(late);
        CHECK(std::get<Refused>(answer).code == "full");
        CHECK(m.context.counters.clients_refused == 1);

        CreateToken create;
        create.role = "viewer";
        clients[0].send(create);
        const auto made = co_await receive<ToClient>(clients[0]);
        CHECK(std::holds_alternative<TokenCreated>(made));
        clients[0].send(create);
        const auto refused = co_await receive<ToClient>(clients[0]);
        CHECK(std::get<Failed>(refused).code == "full");
        CHECK(m.context.counters.requests_failed == 1);
    }(master));
}

#include "slave/web/master_desk.hpp"

#include <boost/system/system_error.hpp>
#include <exception>

#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "slave/web/problem.hpp"

namespace rpic {

namespace {

constexpr int retry_seconds = 5;

/// What went wrong between this webserver and the master, as the browser is told.
[[noreturn]] void throw_problem(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const KeyRefusedError& error) {
        throw ProblemError(401, std::string("the master refused the token: ") + error.what());
    } catch (const DisconnectionError& error) {
        throw ProblemError(503, std::string("the master cannot be asked now: ") + error.what(),
                           retry_seconds);
    } catch (const BadMessageError& error) {
        throw ProblemError(503, std::string("the master sent ") + error.what(), retry_seconds);
    }
}

asio::awaitable<void> receive_into(MasterClient& client, std::int64_t asked,
                                   std::optional<Reply>& reply) {
    for (;;) {
        Reply next = co_await client.receive();
        if (next.id != asked) continue;
        reply = std::move(next);
        co_return;
    }
}

asio::awaitable<void> connect_and_tell(MasterClient& client, HostPort target, bool& connected) {
    co_await client.connect(std::move(target));
    connected = true;
}

}  // namespace

MasterDesk::Visit::Visit(MasterDesk& desk, const std::string& key, bool lasting)
    : desk_(desk), lasting_(lasting), client_(key) {
    ++desk_.visits_;
    if (lasting_) ++desk_.lasting_;
}

MasterDesk::Visit::~Visit() {
    --desk_.visits_;
    if (lasting_) --desk_.lasting_;
}

void MasterDesk::Visit::check_size(std::size_t bytes) {
    // The number of the request is yet to come into it.
    constexpr std::size_t room = 32;
    if (bytes + room <= limits::control_frame_bytes) return;
    throw ProblemError(413, "this is more than the master takes at once: what is asked for has " +
                                format_size(limits::control_frame_bytes) +
                                " of JSON at most; ask for less, or send what is long as a file");
}

asio::awaitable<void> MasterDesk::Visit::connect(HostPort target) {
    std::exception_ptr failure;
    bool connected = false;
    try {
        co_await until_first_failure(connect_and_tell(client_, std::move(target), connected),
                                     sleep_for(limits::connect_time));
    } catch (const boost::system::system_error&) {
        throw;
    } catch (const std::exception&) {
        failure = std::current_exception();
    }
    if (failure) throw_problem(failure);
    if (!connected) throw ProblemError(503, "the master does not answer", retry_seconds);
}

asio::awaitable<std::optional<Reply>> MasterDesk::Visit::news(Duration patience) {
    std::exception_ptr failure;
    std::optional<Reply> reply;
    try {
        co_await until_first_failure(receive_into(client_, asked_, reply), sleep_for(patience));
    } catch (const RequestFailedError&) {
        throw;
    } catch (const boost::system::system_error&) {
        throw;
    } catch (const std::exception&) {
        failure = std::current_exception();
    }
    if (failure) throw_problem(failure);
    co_return reply;
}

asio::awaitable<Reply> MasterDesk::Visit::reply(Duration patience) {
    auto reply = co_await news(patience);
    if (!reply) throw ProblemError(503, "the master does not answer", retry_seconds);
    co_return std::move(*reply);
}

asio::awaitable<std::unique_ptr<MasterDesk::Visit>> MasterDesk::open(std::string token,
                                                                     bool lasting) {
    const auto target = target_ ? target_() : std::nullopt;
    if (!target)
        throw ProblemError(503, "this webserver has no link to the master now", retry_seconds);
    const bool full =
        visits_ >= limits::web_masters || (lasting && lasting_ >= limits::web_masters / 2);
    if (full) throw ProblemError(503, "too many requests ask the master at once: try again", 1);
    const auto key = token.empty() ? own_key_() : token;
    auto visit = std::make_unique<Visit>(*this, key, lasting);
    co_await visit->connect(*target);
    co_return visit;
}

}  // namespace rpic

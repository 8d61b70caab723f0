#include "master/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdlib>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/service_manager.hpp"
#include "common/sleep.hpp"
#include "common/text.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "master/beacon.hpp"
#include "master/listener.hpp"
#include "master/peers.hpp"
#include "master/viewers.hpp"

namespace rpic {

namespace {

/// Everything that depends on time passing.
asio::awaitable<void> tick(Context& context) {
    constexpr Duration step = std::chrono::milliseconds(250);
    Instant swept{};
    Instant measured{};
    for (;;) {
        const auto now = Clock::now();
        Effects effects;
        context.cluster.on_tick(now, effects);
        context.jobs.on_tick(context.moment(), effects);
        context.turns.add(std::move(effects));
        context.lobby.sweep(now);
        if (now - measured >= limits::heartbeat) {
            context.vitals = context.machine.vitals(now);
            measured = now;
        }
        feed_watchers(context, now);
        if (now - swept >= std::chrono::seconds(1)) {
            for (auto& [id, session] : context.sessions.all())
                session.connection->close_if_overdue(now);
            end_expired_clients(context);
            swept = now;
        }
        co_await sleep_for(step);
    }
}

/// Accepts peers once all that the start has made is on disk: whoever is told that the master runs
/// finds its keys and its address.
asio::awaitable<void> listen(Context& context, Listener& listener, Background& background) {
    StoreBatch batch;
    batch.emplace_back(PutSecretFile{context.address_file(), listener.local_address() + "\n"});
    context.turns.record(std::move(batch));
    co_await context.turns.settled();
    background.ready();
    co_await listener.run();
}

asio::awaitable<int> serve(Context& context, Listener& listener, Beacon& beacon,
                           Background& background) {
    int code = exit_code::failed;
    std::string reason;
    try {
        co_await until_first_failure(listen(context, listener, background), tick(context),
                                     context.turns.run(), feed_viewers(context),
                                     keep_house(context), context.store.run(), beacon.run(),
                                     feed_watchdog(), wait_for_stop());
    } catch (const StopRequest& stop) {
        code = exit_code::ok;
        reason = stop.signal;
    } catch (const std::exception& error) {
        reason = error.what();
    }
    log(code == exit_code::ok ? Severity::info : Severity::error, "stopping: " + reason);
    const bool clean = co_await listener.stop();
    if (!clean) {
        log_warning("some connections did not end in time");
        std::_Exit(code);
    }
    co_return code;
}

}  // namespace

int run_master(const MasterOptions& options, Background& background) {
    asio::io_context io(1);
    Context context(io.get_executor(), options);
    Listener listener(io.get_executor(), context);
    Beacon beacon(io.get_executor(), context, listener.port());
    log_info(std::string("rpicluster-master ") + version + " listens on port " +
             std::to_string(listener.port()) + (options.bind.empty() ? "" : " of " + options.bind) +
             (options.plain ? ", also for unencrypted peers" : "") + "; state in " +
             options.folder.string() +
             ", nodes known: " + std::to_string(context.cluster.nodes().size()));
    int code = exit_code::failed;
    asio::co_spawn(io, serve(context, listener, beacon, background),
                   [&code](const std::exception_ptr& failure, int c) {
                       if (failure) std::rethrow_exception(failure);
                       code = c;
                   });
    io.run();
    log_info("stopped");
    return code;
}

}  // namespace rpic

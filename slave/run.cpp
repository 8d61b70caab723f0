#include "slave/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>

#include "common/errors.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "slave/core/backoff.hpp"
#include "slave/identity.hpp"
#include "slave/master_link.hpp"
#include "slave/webserver_role.hpp"

namespace rpic {

namespace {

/// Tries one connection after the other, for ever.
template <class Link>
asio::awaitable<void> stay_connected(const SlaveOptions& options, Link& link, Role& role) {
    Backoff backoff(options.reconnect_max);
    for (std::size_t attempt = 0;; ++attempt) {
        std::string master = "the master";
        std::string reason;
        std::string advice;
        bool refused = false;
        bool at_once = false;
        try {
            const auto masters = master_addresses(options);
            const auto target = masters[attempt % masters.size()];
            master = format_host_port(target.host, target.port);
            co_await link.run_once(target);
        } catch (const KeyRefusedError& error) {
            reason = error.what();
            advice = " (" + link.advice() + ")";
            refused = true;
            at_once = link.try_other_key();
        } catch (const RefusedError& error) {
            reason = error.what();
            refused = true;
        } catch (const DisconnectionError& error) {
            reason = error.what();
        } catch (const ConfigError& error) {
            reason = error.what();
        }
        if (link.joined()) backoff.reset();
        const double chance = random_unit();
        Duration wait = backoff.next(Clock::now(), chance);
        if (refused && !at_once) wait = std::max<Duration>(wait, limits::refused_retry);
        const std::string what = refused         ? "refused by "
                                 : link.joined() ? "lost "
                                                 : "cannot reach ";
        log_peer(Severity::warning, what, master,
                 what + "the master: " + reason + advice + "; next attempt in " +
                     format_duration(to_seconds(wait)));
        role.on_disconnected(master, reason);
        co_await sleep_for(wait);
    }
}

asio::awaitable<void> run_link(const SlaveOptions& options, Identity& identity, Machine& machine,
                               Role& role, ClusterView* view) {
    if (options.plain) {
        PlainLink link(options, machine, view);
        co_await stay_connected(options, link, role);
    } else {
        MasterLink link(options, identity, machine, role);
        co_await stay_connected(options, link, role);
    }
}

asio::awaitable<int> serve(const SlaveOptions& options, Identity& identity, Role& role,
                           ClusterView* view) {
    Machine machine;
    int code = exit_code::failed;
    std::string reason;
    try {
        co_await until_first_failure(run_link(options, identity, machine, role, view), role.run(),
                                     wait_for_stop());
    } catch (const StopRequest& stop) {
        code = exit_code::ok;
        reason = stop.signal;
    } catch (const std::exception& error) {
        reason = error.what();
    }
    log(code == exit_code::ok ? Severity::info : Severity::error, "stopping: " + reason);
    co_return code;
}

}  // namespace

int run_slave(const SlaveOptions& options, Background& background) {
    asio::io_context io(1);
    Identity identity(options);
    std::unique_ptr<Role> role;
    ClusterView* view = nullptr;
    std::string page;
    if (options.role == "webserver") {
        auto webserver = std::make_unique<WebserverRole>(io.get_executor(), options);
        view = &webserver->view();
        page = ", web page on port " + std::to_string(webserver->port());
        role = std::move(webserver);
    } else {
        role = std::make_unique<Role>();
    }
    // A key that is missing is told at once, unless it may still come from a master on this
    // machine.
    if (!options.plain && !(options.masters.empty() && options.key_file.empty()))
        static_cast<void>(identity.key());
    log_info(std::string("rpicluster-slave ") + version + " with the role " + options.role +
             " is " + options.name + page + "; state in " + options.folder.string());
    background.ready();
    int code = exit_code::failed;
    asio::co_spawn(io, serve(options, identity, *role, view),
                   [&code](const std::exception_ptr& failure, int c) {
                       if (failure) std::rethrow_exception(failure);
                       code = c;
                   });
    io.run();
    log_info("stopped");
    return code;
}

}  // namespace rpic

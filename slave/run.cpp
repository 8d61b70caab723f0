#include "slave/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>
#include <optional>

#include "common/errors.hpp"
#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/service_manager.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"
#include "common/version.hpp"
#include "slave/core/backoff.hpp"
#include "slave/core/master_choice.hpp"
#include "slave/health.hpp"
#include "slave/identity.hpp"
#include "slave/master_link.hpp"
#include "slave/webserver_role.hpp"
#include "slave/worker_role.hpp"

namespace rpic {

namespace {

/// How one attempt ended.
struct Ending {
    std::string reason;
    std::string advice;
    bool refused = false;
    bool key_refused = false;
};

template <class Link>
asio::awaitable<Ending> attempt(Link& link, HostPort target) {
    Ending ending;
    try {
        co_await link.run_once(target);
    } catch (const KeyRefusedError& error) {
        ending = {error.what(), " (" + link.advice() + ")", true, true};
    } catch (const RefusedError& error) {
        ending = {error.what(), "", true, false};
    } catch (const DisconnectionError& error) {
        ending.reason = error.what();
    } catch (const ConfigError& error) {
        ending.reason = error.what();
    }
    co_return ending;
}

/// How it stands with the master, for those who ask.
struct Standing {
    bool attempting = false;              // a connection is being made, or is there
    std::string trouble = "starting up";  // what ended the last one
};

/// The masters to choose from; empty with the reason while none is known.
std::vector<HostPort> known_masters(const SlaveOptions& options, std::string& reason) {
    try {
        return master_addresses(options);
    } catch (const ConfigError& error) {
        reason = error.what();
        return {};
    }
}

/// Tries one connection after the other, for ever.
template <class Link>
asio::awaitable<void> stay_connected(const SlaveOptions& options, Link& link, Role& role,
                                     Standing& standing) {
    Backoff backoff(options.reconnect_max);
    MasterChoice choice;
    for (;;) {
        Ending ending;
        const auto masters = known_masters(options, ending.reason);
        if (masters.empty()) {
            const double chance = random_unit();
            const Duration wait = backoff.next(Clock::now(), chance);
            log_rarely(Severity::warning, "no master", "", "no master yet: " + ending.reason);
            standing.trouble = "no master yet: " + ending.reason;
            role.on_disconnected("", ending.reason);
            co_await sleep_for(wait);
            continue;
        }
        const auto chosen = choice.next(Clock::now(), masters.size());
        if (chosen.wait > Duration::zero()) co_await sleep_for(chosen.wait);
        const auto target = masters[chosen.index];
        const auto master = format_host_port(target.host, target.port);
        standing.attempting = true;
        ending = co_await attempt(link, target);
        standing.attempting = false;

        const auto now = Clock::now();
        if (link.joined()) {
            backoff.reset();
            choice.joined(chosen.index);
        } else {
            choice.failed(chosen.index);
        }
        if (ending.refused) choice.refused(chosen.index, now);
        if (ending.key_refused && choice.all_refused(now, masters.size()) && link.try_other_key()) {
            choice.forget_refusals();
            ending.advice.clear();
        }
        const double chance = random_unit();
        const Duration wait = backoff.next(now, chance);
        const Duration rest = choice.next(now, masters.size()).wait;
        const char* what = ending.refused  ? "refused by the master"
                           : link.joined() ? "lost the master"
                                           : "cannot reach the master";
        log_peer(Severity::warning, what, master,
                 std::string(what) + ": " + ending.reason + ending.advice + "; next attempt in " +
                     format_duration(to_seconds(std::max(wait, rest))));
        standing.trouble = std::string(what) + ": " + ending.reason;
        tell_service_manager("STATUS=" + standing.trouble);
        role.on_disconnected(master, ending.reason);
        co_await sleep_for(wait);
    }
}

/// Stays connected, and says whether it is.
template <class Link>
asio::awaitable<void> run_with_health(const SlaveOptions& options, Link& link, Role& role) {
    Standing standing;
    Trouble trouble = [&standing, &link] {
        return standing.attempting && link.joined() ? std::string() : standing.trouble;
    };
    co_await until_first_failure(stay_connected(options, link, role, standing),
                                 tell_health(options.folder, std::move(trouble)));
}

asio::awaitable<void> run_link(const SlaveOptions& options, Identity& identity, Machine& machine,
                               Role& role, ClusterView* view) {
    if (options.plain) {
        PlainLink link(options, machine, view);
        co_await run_with_health(options, link, role);
    } else {
        MasterLink link(options, identity, machine, role);
        co_await run_with_health(options, link, role);
    }
}

asio::awaitable<int> serve(const SlaveOptions& options, Identity& identity, Machine& machine,
                           Role& role, ClusterView* view) {
    int code = exit_code::failed;
    std::string reason;
    try {
        co_await until_first_failure(run_link(options, identity, machine, role, view), role.run(),
                                     feed_watchdog(), wait_for_stop());
    } catch (const StopRequest& stop) {
        code = exit_code::ok;
        reason = stop.signal;
    } catch (const std::exception& error) {
        reason = error.what();
    }
    log(code == exit_code::ok ? Severity::info : Severity::error, "stopping: " + reason);
    co_return code;
}

/// What this node has for tasks, as its hello says it.
Holding offered(const SlaveOptions& options, const MachineFacts& machine) {
    Holding holding;
    const auto cpus = options.cpus > 0 ? options.cpus : machine.cpu_cores;
    holding.milli_cpus = milli_cpus(static_cast<double>(cpus));
    holding.memory_bytes = options.memory_bytes > 0 ? options.memory_bytes : machine.ram_bytes;
    holding.resources = options.resources;
    return holding;
}

}  // namespace

int run_slave(const SlaveOptions& options, Background& background) {
    // Never destroyed: its end would wait for a host name that nobody wants to know any more, as
    // long as the resolver of the system takes.
    static auto* const kept = new asio::io_context(1);
    auto& io = *kept;
    Identity identity(options);
    Machine machine;
    std::unique_ptr<Role> role;
    ClusterView* view = nullptr;
    std::string page;
    if (options.role == "webserver") {
        auto webserver = std::make_unique<WebserverRole>(io.get_executor(), options, identity);
        view = &webserver->view();
        page = ", web page on port " + std::to_string(webserver->port());
        role = std::move(webserver);
    } else if (options.role == "worker" && !options.plain) {
        role = std::make_unique<WorkerRole>(io.get_executor(), options, identity,
                                            offered(options, machine.facts()));
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
    std::optional<int> code;
    asio::co_spawn(io, serve(options, identity, machine, *role, view),
                   [&code](const std::exception_ptr& failure, int c) {
                       if (failure) std::rethrow_exception(failure);
                       code = c;
                   });
    while (!code) io.run_one();
    log_info("stopped");
    return *code;
}

}  // namespace rpic

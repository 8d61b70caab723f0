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
#include "slave/core/master_search.hpp"
#include "slave/discovery.hpp"
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

/// Connects again and again, for ever: to the masters that somebody has named, else to those that
/// it finds.
template <class Link>
class Attempts {
  public:
    Attempts(const asio::any_io_executor& executor, const SlaveOptions& options, Identity& identity,
             Link& link, Role& role)
        : options_(options),
          identity_(identity),
          link_(link),
          role_(role),
          backoff_(options.reconnect_max),
          search_(identity.last_master(), usual_names(options)),
          names_(executor) {}

    asio::awaitable<void> run() {
        const std::string unknown = "no master is known: name it with --master HOST[:PORT]";
        for (;;) {
            const auto masters = named_masters(options_);
            if (!masters.empty())
                co_await try_named(masters);
            else if (options_.discovery)
                co_await look_for_one();
            else
                co_await wait_without_master(unknown, Duration::zero());
        }
    }

    /// What keeps it away from its master; empty while it is joined.
    std::string trouble() const { return attempting_ && link_.joined() ? std::string() : trouble_; }

  private:
    asio::awaitable<Ending> connect(HostPort target) {
        attempting_ = true;
        Ending ending = co_await attempt(link_, target);
        attempting_ = false;
        co_return ending;
    }

    static std::vector<HostPort> usual_names(const SlaveOptions& options) {
        std::vector<HostPort> names;
        for (const auto* name : {"rpicluster", "rpicluster.local"})
            names.push_back({name, options.master_port});
        return names;
    }

    /// One attempt, and the pause after it.
    asio::awaitable<void> try_named(std::vector<HostPort> masters) {
        const auto chosen = choice_.next(Clock::now(), masters.size());
        if (chosen.wait > Duration::zero()) co_await sleep_for(chosen.wait);
        const auto target = masters[chosen.index];
        Ending ending = co_await connect(target);
        const auto now = Clock::now();
        if (link_.joined()) {
            backoff_.reset();
            choice_.joined(chosen.index);
        } else {
            choice_.failed(chosen.index);
        }
        if (ending.refused) choice_.refused(chosen.index, now);
        if (ending.key_refused && choice_.all_refused(now, masters.size()) &&
            link_.try_other_key()) {
            choice_.forget_refusals();
            ending.advice.clear();
        }
        const double chance = random_unit();
        const Duration wait = backoff_.next(now, chance);
        const Duration rest = choice_.next(now, masters.size()).wait;
        const auto next = "; next attempt in " + format_duration(to_seconds(std::max(wait, rest)));
        tell(target, ending, next);
        co_await sleep_for(wait);
    }

    /// One step of the search, which pauses at the end of each round.
    asio::awaitable<void> look_for_one() {
        std::string key;
        std::string no_key;
        try {
            key = identity_.key();
        } catch (const ConfigError& error) {
            no_key = error.what();
        }
        if (key.empty()) {
            co_await wait_without_master(no_key, Duration::zero());
            co_return;
        }
        const auto step = search_.next(Clock::now());
        switch (step.kind) {
            case MasterSearch::Step::Kind::connect:
                co_await try_found(step.master);
                break;
            case MasterSearch::Step::Kind::ask:
                co_await ask(std::move(key));
                break;
            case MasterSearch::Step::Kind::wait:
                co_await wait_without_master(search_.trouble(), step.rest);
                break;
        }
    }

    asio::awaitable<void> try_found(HostPort target) {
        const bool known = co_await names_.knows(target.host);
        if (!known) {
            const auto why = "the host name is not known here";
            search_.failed(Clock::now(), target, why, MasterSearch::Failure::unreachable);
            co_return;
        }
        const Ending ending = co_await connect(target);
        using Failure = MasterSearch::Failure;
        const auto how = ending.key_refused ? Failure::key_refused
                         : ending.refused   ? Failure::refused
                                            : Failure::unreachable;
        if (link_.joined()) search_.joined(target);
        search_.failed(Clock::now(), target, ending.reason + ending.advice, how);
        if (search_.key_refused() && link_.try_other_key()) search_.forget_refusals();
        if (!link_.joined()) co_return;  // trouble() tells of it when the round is over
        tell(target, ending, "");
        backoff_.reset();
        const double chance = random_unit();
        const Duration wait = backoff_.next(Clock::now(), chance);
        co_await sleep_for(wait);
    }

    asio::awaitable<void> ask(std::string key) {
        std::vector<FoundMaster> found;
        try {
            auto targets = discovery_targets(options_.discovery_port);
            found = co_await ask_for_masters(std::move(targets), std::move(key));
        } catch (const DisconnectionError& error) {
            search_.could_not_ask(error.what());
        }
        search_.heard(found);
    }

    asio::awaitable<void> wait_without_master(std::string reason, Duration rest) {
        const double chance = random_unit();
        const Duration wait = std::max(rest, backoff_.next(Clock::now(), chance));
        trouble_ = "no master yet: " + reason;
        log_rarely(Severity::warning, "no master", "", trouble_);
        tell_service_manager("STATUS=" + trouble_);
        role_.on_disconnected("", reason);
        co_await sleep_for(wait);
    }

    void tell(const HostPort& target, const Ending& ending, const std::string& next) {
        const auto master = format_host_port(target.host, target.port);
        const char* what = ending.refused   ? "refused by the master"
                           : link_.joined() ? "lost the master"
                                            : "cannot reach the master";
        log_peer(Severity::warning, what, master,
                 std::string(what) + ": " + ending.reason + ending.advice + next);
        trouble_ = std::string(what) + ": " + ending.reason;
        tell_service_manager("STATUS=" + trouble_);
        role_.on_disconnected(master, ending.reason);
    }

    const SlaveOptions& options_;
    Identity& identity_;
    Link& link_;
    Role& role_;
    Backoff backoff_;
    MasterChoice choice_;  // among those that are named
    MasterSearch search_;  // where none is
    NameProbe names_;
    bool attempting_ = false;  // a connection is being made, or is there
    std::string trouble_ = "starting up";
};

/// Stays connected, and says whether it is to those who ask.
template <class Link>
asio::awaitable<void> run_attempts(const SlaveOptions& options, Identity& identity, Link& link,
                                   Role& role) {
    const auto executor = co_await asio::this_coro::executor;
    Attempts attempts(executor, options, identity, link, role);
    Trouble trouble = [&attempts] { return attempts.trouble(); };
    co_await until_first_failure(attempts.run(), tell_health(options.folder, std::move(trouble)));
}

asio::awaitable<void> run_link(const SlaveOptions& options, Identity& identity, Machine& machine,
                               Role& role, ClusterView* view) {
    if (options.plain) {
        PlainLink link(options, machine, view);
        co_await run_attempts(options, identity, link, role);
    } else {
        MasterLink link(options, identity, machine, role);
        co_await run_attempts(options, identity, link, role);
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
    Machine machine("/", real_machine_calls(), std::filesystem::absolute(options.folder));
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

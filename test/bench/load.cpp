/// The load generator of the benchmarks: many peers of one master in one process and one thread.
/// README.md beside it says what the modes are for. Results go to standard output, one JSON object
/// a line; times are readings of CLOCK_BOOTTIME, in seconds, which other programs can read too.

#include <boost/asio/io_context.hpp>
#include <boost/program_options.hpp>
#include <set>

#include "common/daemon.hpp"
#include "test/bench/crowd.hpp"
#include "test/bench/flood.hpp"
#include "test/bench/submits.hpp"

namespace {

using namespace rpic;
using namespace rpic::bench;

Options parse_options(int argc, char** argv) {
    namespace po = boost::program_options;
    Options options;
    po::options_description described(
        "rpicluster-bench-load plain|hold|return|work|submit --port P [options]\n\n"
        "  plain   pipelined heartbeats over plain connections, as fast as they are taken\n"
        "  hold    peers that beat now and then; a dropped connection stays dropped\n"
        "  return  the same, but who is dropped comes back as a slave does\n"
        "  work    workers whose tasks end as soon as they are ordered, without a process\n"
        "  submit  a client that submits one job after the other\n");
    auto add = described.add_options();
    add("help", "this text");
    add("mode", po::value(&options.mode)->required(), "what to do: see above");
    add("port", po::value(&options.port)->required(), "of a master on 127.0.0.1");
    add("connections", po::value(&options.connections), "how many");
    add("first", po::value(&options.first), "hold, return, work: number of the first peer");
    add("at-once", po::value(&options.at_once), "likewise: that connect at the same time");
    add("messages", po::value(&options.messages), "plain: heartbeats, submit: jobs in total");
    add("batch", po::value(&options.batch), "plain: heartbeats in one write");
    add("key-file", po::value(&options.key_file), "encrypted, with this key");
    add("seconds", po::value(&options.seconds), "hold, return: end by itself; 0: by SIGTERM");
    add("heartbeat", po::value(&options.heartbeat), "hold, return: seconds between two beats");
    add("one-address", po::bool_switch(&options.one_address), "all peers from 127.0.0.1");
    add("wait", po::bool_switch(&options.wait), "plain: start on a line of standard input");
    add("cpus", po::value(&options.cpus), "work: of each worker");
    add("task", po::value(&options.task), "submit: path of rpicluster-bench-stamp");
    po::positional_options_description positional;
    positional.add("mode", 1);
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(described).positional(positional).run(),
              values);
    if (values.count("help") > 0) {
        std::cout << described;
        std::exit(exit_code::ok);
    }
    po::notify(values);
    return options;
}

asio::awaitable<void> run_mode(const Options& options) {
    if (options.mode == "plain") {
        Flood flood(options);
        co_await flood.run();
        co_return;
    }
    if (options.mode == "submit") {
        Submits submits(options);
        co_await submits.run();
        co_return;
    }
    const auto executor = co_await asio::this_coro::executor;
    Crowd crowd(executor, options);
    try {
        co_await crowd.run();
    } catch (const StopRequest&) {
        // The usual way to end a crowd.
    }
    crowd.report_end();
    std::exit(exit_code::ok);  // its peers are still connected: that is what it is for
}

}  // namespace

int main(int argc, char** argv) {
    prepare_process();
    return guarded_main("rpicluster-bench-load", [&] {
        const auto options = parse_options(argc, argv);
        const std::set<std::string> modes = {"plain", "hold", "return", "work", "submit"};
        if (!modes.contains(options.mode)) throw ConfigError("unknown mode " + options.mode);
        if (options.mode == "work" && options.key_file.empty())
            throw ConfigError("workers are encrypted: give them a --key-file");
        asio::io_context io(1);
        asio::co_spawn(io, run_mode(options), [](const std::exception_ptr& failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io.run();
        return exit_code::ok;
    });
}

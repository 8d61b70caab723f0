#include <signal.h>

#include <catch2/catch.hpp>

#include "cli/exit_codes.hpp"
#include "cli/gather.hpp"
#include "cli/stay.hpp"
#include "cli/submit.hpp"
#include "test/async/fake_master.hpp"

using namespace rpic;
using test::Capture;
using test::FakeMaster;

namespace {

struct Consoles {
    Capture out;
    Capture err;
    Console console{out.file(), err.file()};
};

template <class Message>
bool is(const FromClient& message) {
    return std::holds_alternative<Message>(message);
}

}  // namespace

TEST_CASE("run shows what the task prints and exits as it does", "[cli]") {
    FakeMaster master;
    master.add_task(0, "hello\n", 3);
    append_output(master.tasks[0].output, OutputStream::err, "oh\n");
    Client client(master.credentials());
    Consoles to;
    CHECK(stay_with_task(client, "7", to.console) == 3);
    CHECK(to.out.text() == "hello\n");
    CHECK(to.err.text() == "oh\n");
}

TEST_CASE("run goes on after each break without losing or repeating a byte", "[cli]") {
    // Every second answer comes with the end of the connection, in pieces that cut records.
    int reads = 0;
    FakeMaster master([&](FakeMaster& self, Connection& connection, const FromClient& message) {
        const auto* read = std::get_if<ReadOutput>(&message);
        if (read == nullptr) return false;
        if (++reads % 2 == 0)
            connection.close("restarted");
        else
            self.send_output(connection, *read, 7);
        return true;
    });
    std::string expected;
    master.add_task(0, "");
    for (int i = 0; i < 20; ++i) {
        const auto line = "line " + std::to_string(i) + "\n";
        append_output(master.tasks[0].output, OutputStream::out, line);
        expected += line;
    }
    Client client(master.credentials());
    Consoles to;
    CHECK(stay_with_task(client, "7", to.console) == 0);
    CHECK(to.out.text() == expected);
    master.stop();
    CHECK(master.connections > 20);
}

TEST_CASE("a task that runs again is shown from its beginning", "[cli]") {
    int reads = 0;
    FakeMaster master([&](FakeMaster& self, Connection& connection, const FromClient& message) {
        const auto* read = std::get_if<ReadOutput>(&message);
        if (read == nullptr) return false;
        if (++reads > 1) return false;
        // The first attempt prints something and is lost; then the second one prints all.
        Output answer;
        answer.id = read->id;
        answer.attempt = 1;
        std::string records;
        append_output(records, OutputStream::out, "fir");
        connection.send(answer, records);
        self.tasks[0].view.attempt = 2;
        return true;
    });
    master.add_task(0, "first and last\n");
    Client client(master.credentials());
    Consoles to;
    CHECK(stay_with_task(client, "7", to.console) == 0);
    CHECK(to.out.text() == "firfirst and last\n");
    CHECK(to.err.text().find("runs again") != std::string::npos);
}

TEST_CASE("a job without its own exit code says why, and gives 125", "[cli]") {
    FakeMaster master;
    master.add_task(0, "");
    auto& view = master.tasks[0].view;
    view.state = "cancelled";
    view.exit_code.reset();
    view.reason = "cancelled by admin";
    Client client(master.credentials());
    Consoles to;
    CHECK(stay_with_task(client, "7", to.console) == exit_code::own_error);
    CHECK(to.err.text() == "rpicluster: job 7: cancelled by admin\n");
}

TEST_CASE("a submit whose answer is lost is repeated with the same key", "[cli]") {
    bool lost = false;
    FakeMaster master([&](FakeMaster& self, Connection& connection, const FromClient& message) {
        const auto* submit = std::get_if<Submit>(&message);
        if (submit == nullptr || std::exchange(lost, true)) return false;
        self.submitted.push_back(submit->spec);
        connection.close("killed");
        return true;
    });
    Client client(master.credentials());
    JobOptions options;
    options.spec.command = {"true"};
    const auto answer = submit_job(client, options);
    CHECK(answer.job.id == "7");
    master.stop();
    REQUIRE(master.submitted.size() == 1);
    CHECK(master.submitted[0].idempotency_key.size() == 32);
}

TEST_CASE("a refused submit is not repeated", "[cli]") {
    int submits = 0;
    FakeMaster master([&](FakeMaster&, Connection& connection, const FromClient& message) {
        const auto* submit = std::get_if<Submit>(&message);
        if (submit == nullptr) return false;
        ++submits;
        Failed failed;
        failed.id = submit->id;
        failed.code = "full";
        failed.reason = "under 64M are free";
        connection.send(failed);
        return true;
    });
    Client client(master.credentials());
    JobOptions options;
    options.spec.command = {"true"};
    CHECK_THROWS_AS(submit_job(client, options), RequestFailedError);
    master.stop();
    CHECK(submits == 1);
}

TEST_CASE("items travel as one blob", "[cli]") {
    FakeMaster master;
    Client client(master.credentials());
    JobOptions options;
    options.spec.command = {"echo", "{}"};
    options.has_items = true;
    options.items = {"a", "b c", ""};
    submit_job(client, options);
    master.stop();
    REQUIRE(master.submitted.size() == 1);
    const auto blob = master.blobs.find(master.submitted[0].items);
    REQUIRE(blob != master.blobs.end());
    CHECK(blob->second == std::string("a\0b c\0\0", 7));
}

TEST_CASE("a map prints each task in one piece, across a restart, and counts failures", "[cli]") {
    const bool keep_order = GENERATE(false, true);
    // At first task 2 alone has ended. The master restarts; then the others have ended, too.
    int watches = 0;
    FakeMaster master([&](FakeMaster& self, Connection& connection, const FromClient& message) {
        const auto* watch = std::get_if<WatchJobs>(&message);
        const auto* get = std::get_if<GetJob>(&message);
        if (watch != nullptr && ++watches == 1) {
            self.send_jobs(connection, watch->id);
            return true;
        }
        if (watch != nullptr) {
            self.add_task(1, "one\n", 4);
            self.add_task(3, "three\n");
        }
        self.end_after_answer = get != nullptr && watches == 1;
        return false;
    });
    for (const int index : {1, 2, 3}) master.add_task(index, index == 2 ? "two\n" : "");
    for (const int index : {1, 3}) master.tasks[index].view.state = "running";
    Client client(master.credentials());
    Consoles to;
    GatherOptions options;
    options.keep_order = keep_order;
    const auto result = Gatherer(client, "7", to.console, options).run();
    CHECK(result.failed == 1);
    CHECK(result.cancelled == 0);
    CHECK(result.worst_code == 4);
    CHECK(to.out.text() == (keep_order ? "one\ntwo\nthree\n" : "two\none\nthree\n"));
    CHECK(failure_summary(result) == "1 failed of 3 tasks\n  task 1 on pi1: exit code 4");
}

TEST_CASE("thousands of tasks are found, whatever their order", "[cli]") {
    FakeMaster master;
    for (int i = 0; i < 300; ++i) master.add_task(i * 3, i % 10 == 0 ? "x" : "", i == 17 ? 1 : 0);
    Client client(master.credentials());
    Consoles to;
    const auto result = Gatherer(client, "7", to.console, {}).run();
    CHECK(result.failed == 1);
    CHECK(to.out.text() == std::string(30, 'x'));
}

TEST_CASE("Ctrl-C leaves the job alone, twice cancels it", "[cli]") {
    const bool twice = GENERATE(false, true);
    int reads = 0;
    FakeMaster master([&](FakeMaster&, Connection&, const FromClient& message) {
        if (!is<ReadOutput>(message)) return false;
        if (++reads == 1) ::kill(::getpid(), SIGINT);
        return true;  // no answer: the task runs on
    });
    master.add_task(0, "");
    Client client(master.credentials());
    Consoles to;
    const int code = stay_with(client, "7", to.console, [&] {
        try {
            return stay_with_task(client, "7", to.console);
        } catch (const InterruptedError&) {
            if (twice) ::kill(::getpid(), SIGINT);
            throw;
        }
    });
    CHECK(code == (twice ? exit_code::interrupted : exit_code::left_alone));
    CHECK(to.err.text().find("rpicluster attach 7") != std::string::npos);
    master.stop();
    CHECK(master.cancelled == (twice ? std::vector<std::string>{"7"} : std::vector<std::string>{}));
}

TEST_CASE("an unknown job ends the watch with that reason", "[cli]") {
    FakeMaster master([&](FakeMaster&, Connection& connection, const FromClient& message) {
        const auto* watch = std::get_if<WatchJobs>(&message);
        if (watch == nullptr) return false;
        Failed failed;
        failed.id = watch->id;
        failed.code = "not_found";
        failed.reason = "there is no job 99";
        connection.send(failed);
        return true;
    });
    Client client(master.credentials());
    JobWatcher watcher;
    watcher.on_change = [](const std::vector<JobView>&) {};
    CHECK_THROWS_WITH(watch_jobs(client, "99", watcher), "there is no job 99");
}

#include "cli/stay.hpp"

#include <unistd.h>

#include "cli/exit_codes.hpp"
#include "cli/follow.hpp"
#include "cli/output.hpp"

namespace rpic {

namespace {

constexpr Duration second_thoughts = std::chrono::seconds(2);
constexpr Duration cancel_patience = std::chrono::seconds(10);  // for a master that is away

/// The user has pressed Ctrl-C.
int leave(Client& client, const std::string& job, const Console& console) {
    console.say("detached from job " + job + ", which goes on: \"rpicluster attach " + job +
                "\" comes back to it, \"rpicluster cancel " + job +
                "\" ends it (as Ctrl-C again does now)");
    try {
        client.pause(second_thoughts);
        return exit_code::left_alone;
    } catch (const InterruptedError&) {
    }
    CancelJobs request;
    request.jobs = job;
    try {
        client.ask<Done>(request);
    } catch (const UnreachableError&) {
        client.reconnect(cancel_patience);
        client.ask<Done>(request);
    }
    console.say("job " + job + " is cancelled");
    return exit_code::interrupted;
}

/// Why nothing happens: said once, to a person.
class WaitingNote {
  public:
    WaitingNote(Client& client, std::string job, const Console& console)
        : client_(client), job_(std::move(job)), console_(console) {}

    void tell() {
        if (told_ || ::isatty(2) != 1) return;
        told_ = true;
        ExplainJob request;
        request.job = job_;
        const auto answer =
            across_restarts(client_, [&] { return client_.ask<Explanation>(request); });
        if (!answer.reason.empty()) console_.say("job " + job_ + " waits: " + answer.reason);
    }

  private:
    Client& client_;
    std::string job_;
    const Console& console_;
    bool told_ = false;
};

}  // namespace

void Console::write(OutputStream stream, std::string_view bytes) const {
    write_now(stream == OutputStream::out ? out : err, bytes);
}

void Console::say(const std::string& text) const {
    std::fprintf(err, "rpicluster: %s\n", text.c_str());
    std::fflush(err);
}

int stay_with(Client& client, const std::string& job, const Console& console,
              const std::function<int()>& stay) {
    client.watch_interrupts();
    try {
        return stay();
    } catch (const InterruptedError&) {
        return leave(client, job, console);
    } catch (const OutputClosedError&) {
        console.say("nobody reads the output; job " + job + " goes on: \"rpicluster cancel " + job +
                    "\" ends it");
        return exit_code::left_alone;
    }
}

int stay_with_task(Client& client, const std::string& job, const Console& console) {
    GetJob request;
    request.job = job;
    request.limit = 1;
    const auto ask = [&] { return get_job(client, request); };
    const auto before = across_restarts(client, ask);
    if (before.tasks.empty()) throw RequestFailedError("not_found", "job " + job + " has no tasks");
    WaitingNote note(client, job, console);
    OutputFollower follower;
    follower.sink = [&](OutputStream stream, std::string_view bytes) {
        console.write(stream, bytes);
    };
    follower.on_new_attempt = [&](std::int64_t) {
        console.say("job " + job + " runs again; its output begins anew");
    };
    follower.on_wait = [&] { note.tell(); };
    follow_output(client, job_number(before.detail.job.id), before.tasks.front().index, follower);
    const auto after = across_restarts(client, ask);
    if (after.tasks.empty())
        throw RequestFailedError("not_found", "job " + job + " was forgotten meanwhile");
    const auto& task = after.tasks.front();
    const int code = exit_code::of_task(task);
    // A code of its own says enough, as with ssh; without one there is something to explain.
    const bool own_code = task.exit_code || task.signal;
    const auto reason = task.reason || own_code ? task.reason : after.detail.job.reason;
    if (code != 0 && reason && !reason->empty()) console.say("job " + job + ": " + *reason);
    return code;
}

}  // namespace rpic

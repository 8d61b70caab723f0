#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/wakeup.hpp"
#include "slave/runner/local_connection.hpp"
#include "slave/runner/messages.hpp"
#include "slave/runner/waiting_launches.hpp"

namespace rpic {

/// What the owner of the runner's link hears. Called on the link's loop; a call may send().
class RunnerHandler {
  public:
    virtual ~RunnerHandler() = default;

    /// The runner was attached: everything it has, running and ended, also what earlier runners and
    /// earlier slaves left. Ended attempts come without their output (ReadAttempt asks for it) and
    /// stay until ForgetAttempts.
    virtual void on_attached(const std::vector<RunnerAttempt>& attempts) = 0;

    /// There is no runner, and none has left anything: told once that is known, at the start or
    /// when one has ended, also one that ended before it was attached.
    virtual void on_no_runner() = 0;

    virtual void on_launched(const Launched& message) = 0;

    /// An attempt has ended. `output` is all of it, unless `attempt.output_file` is set. Comes from
    /// the link itself, with outcome `node`, for a launch that no runner could carry out.
    virtual void on_ended(const RunnerAttempt& attempt, std::string_view output) = 0;

    virtual void on_output(const AttemptOutput& message, std::string_view records) = 0;

    /// The connection has ended: nothing that was asked for will be answered, except launches.
    virtual void on_runner_gone(const std::string& reason) = 0;
};

/// A slave's side of the socket of its runner. It starts the program when there is something to
/// launch, or something that an earlier runner left in the folder, and comes back when it ends.
///
/// A launch is answered once by on_launched or on_ended, whatever happens to runners meanwhile (a
/// launch that a runner took is in the list of on_attached; one that none took is sent again).
/// Everything else that was sent before on_runner_gone() may be lost.
class RunnerLink {
  public:
    /// `folder` is the runner's own (made here, 0700); `program` the path of rpicluster-runner,
    /// empty for the one beside this program or else in PATH; `log_file` is handed on to it.
    /// `command`, if there is one, is run by sh instead and has to see to a runner in that folder.
    RunnerLink(boost::asio::any_io_executor executor, std::filesystem::path folder,
               std::filesystem::path program = {}, std::string log_file = {},
               std::string command = {});

    /// Lives until it is cancelled. The handler must outlive it. To be run once at a time.
    boost::asio::awaitable<void> run(RunnerHandler& handler);

    /// Starts the runner if none is there. False, and nothing will happen, if the launch is larger
    /// than limits::runner_frame_bytes or more than limits::outbox_hard_bytes wait for an answer.
    bool send(const Launch& message);

    /// These are dropped while nothing is attached: the list of on_attached is the truth then.
    void send(const StartHeld& message);
    void send(const KillAttempts& message);
    void send(const ForgetAttempts& message);
    void send(const RenewLease& message);
    void send(const ReadAttempt& message);

    bool connected() const { return attached_; }

    /// Process id of the attached runner; 0 if there is none.
    std::int64_t runner_pid() const { return attached_ ? pid_ : 0; }

    /// Whether runners of this folder left something, or one listens: only then is one started
    /// without a launch.
    bool something_left() const;

  private:
    boost::asio::awaitable<LocalSocket> connect();
    std::vector<std::string> start_words() const;
    boost::asio::awaitable<void> serve(LocalSocket socket, RunnerHandler& handler);
    boost::asio::awaitable<void> attach(LocalConnection& connection, RunnerHandler& handler);
    void dispatch(const Frame& frame, RunnerHandler& handler);
    void send_waiting(const std::vector<RunnerAttempt>& known);
    void gone(RunnerHandler& handler, const std::string& reason);
    void give_up_launches(RunnerHandler& handler, int deaths, const std::string& reason);
    template <class Message>
    void send_if_attached(const Message& message);

    boost::asio::any_io_executor executor_;
    std::filesystem::path folder_;
    std::filesystem::path program_;
    std::string log_file_;
    std::string command_;
    Wakeup wanted_;
    WaitingLaunches waiting_;
    LocalConnection* connection_ = nullptr;
    bool attached_ = false;
    std::int64_t pid_ = 0;
};

}  // namespace rpic

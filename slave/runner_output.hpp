#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "common/wakeup.hpp"
#include "slave/runner/runner_link.hpp"

namespace rpic {

namespace asio = boost::asio;

/// Questions to the runner for what attempts have printed.
class RunnerOutput {
  public:
    struct Piece {
        bool known = false;     // false: the runner has no such attempt
        bool complete = false;  // it has ended, and this is the last of it
        std::string records;
    };

    RunnerOutput(const asio::any_io_executor& executor, RunnerLink& runner)
        : executor_(executor), runner_(runner), attached_(executor) {}

    /// A piece of output from `offset` on. Waits for the runner if there is none just now. With
    /// `wait` the answer comes when there is something to say; several who wait for the same share
    /// one question, so that those who give up and ask again leave nothing behind.
    asio::awaitable<Piece> read(AttemptKey key, std::int64_t offset, bool wait);

    void on_attached() { attached_.notify(); }
    void on_output(const AttemptOutput& message, std::string_view records);
    void on_runner_gone();

  private:
    struct Question {
        explicit Question(const asio::any_io_executor& executor) : changed(executor) {}
        std::optional<Piece> answer;
        bool lost = false;  // with the runner
        Wakeup changed;
    };
    using Subject = std::tuple<AttemptKey, std::int64_t, bool>;

    std::shared_ptr<Question> ask(const Subject& subject);

    asio::any_io_executor executor_;
    RunnerLink& runner_;
    Wakeup attached_;
    std::int64_t last_id_ = 0;
    struct Open {
        Subject subject;
        std::shared_ptr<Question> question;
    };
    std::map<std::int64_t, Open> open_;
    std::map<Subject, std::int64_t> subjects_;  // of open ones
};

}  // namespace rpic

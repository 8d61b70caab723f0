#include "slave/runner_output.hpp"

namespace rpic {

asio::awaitable<RunnerOutput::Piece> RunnerOutput::read(AttemptKey key, std::int64_t offset,
                                                        bool wait) {
    const Subject subject(key, offset, wait);
    for (;;) {
        auto seen = attached_.count();
        while (!runner_.connected()) seen = co_await attached_.wait(seen);
        const auto question = ask(subject);
        auto changes = question->changed.count();
        while (!question->answer && !question->lost)
            changes = co_await question->changed.wait(changes);
        if (question->answer) co_return *question->answer;
    }
}

std::shared_ptr<RunnerOutput::Question> RunnerOutput::ask(const Subject& subject) {
    if (const auto same = subjects_.find(subject); same != subjects_.end())
        return open_.at(same->second).question;
    auto question = std::make_shared<Question>(executor_);
    const auto id = ++last_id_;
    subjects_[subject] = id;
    open_.emplace(id, Open{subject, question});
    ReadAttempt message;
    message.id = id;
    message.key = std::get<0>(subject);
    message.offset = std::get<1>(subject);
    message.wait = std::get<2>(subject);
    runner_.send(message);
    return question;
}

void RunnerOutput::on_output(const AttemptOutput& message, std::string_view records) {
    const auto found = open_.find(message.id);
    if (found == open_.end()) return;
    const auto question = found->second.question;
    subjects_.erase(found->second.subject);
    open_.erase(found);
    Piece piece;
    piece.known = message.known;
    piece.complete = message.complete;
    piece.records = records;
    question->answer = std::move(piece);
    question->changed.notify();
}

void RunnerOutput::on_runner_gone() {
    subjects_.clear();
    for (const auto& [id, open] : open_) {
        open.question->lost = true;
        open.question->changed.notify();
    }
    open_.clear();
}

}  // namespace rpic

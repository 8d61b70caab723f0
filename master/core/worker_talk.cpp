#include "master/core/worker_talk.hpp"

#include "common/errors.hpp"
#include "common/limits.hpp"

namespace rpic {

std::vector<Resynced> WorkerTalk::on_resync(Moment now, const Resync& page, Effects& effects) {
    if (attempts_.size() + page.attempts.size() > limits::attempts_of_node)
        throw DisconnectionError("it lists more than " + std::to_string(limits::attempts_of_node) +
                                 " attempts");
    attempts_.insert(attempts_.end(), page.attempts.begin(), page.attempts.end());
    std::vector<Resynced> answers;
    if (page.more) return answers;
    const auto* node = cluster_.find_session(session_);
    if (node == nullptr) return answers;
    const auto verdicts = jobs_.on_resync(now, session_, *node, attempts_, effects);
    attempts_.clear();
    resynced_ = true;
    constexpr std::size_t verdicts_per_frame = 300;
    std::size_t next = 0;
    do {
        auto& answer = answers.emplace_back();
        for (; next < verdicts.size() && answer.verdicts.size() < verdicts_per_frame; ++next)
            answer.verdicts.push_back(verdicts[next]);
        answer.more = next < verdicts.size();
    } while (next < verdicts.size());
    return answers;
}

bool WorkerTalk::on_started(Moment now, const AttemptsStarted& started) {
    if (resynced_) jobs_.on_started(now, session_, started.attempts);
    return resynced_;
}

bool WorkerTalk::on_retracted(Moment now, const AttemptsRetracted& retracted, Effects& effects) {
    if (resynced_) jobs_.on_retracted(now, session_, retracted.attempts, effects);
    return resynced_;
}

bool WorkerTalk::on_ended(Moment now, const AttemptsEnded& ended, std::string_view outputs,
                          Effects& effects) {
    if (!resynced_) return false;
    // All of it before any: what Jobs has decided must not be thrown away.
    auto left = outputs.size();
    for (const auto& report : ended.reports) {
        if (report.inline_bytes < 0 || static_cast<std::size_t>(report.inline_bytes) > left)
            throw BadMessageError("reports with less output behind them than they say");
        left -= static_cast<std::size_t>(report.inline_bytes);
    }
    for (const auto& report : ended.reports) {
        const auto size = static_cast<std::size_t>(report.inline_bytes);
        jobs_.on_ended(now, session_, report, outputs.substr(0, size), effects);
        outputs.remove_prefix(size);
    }
    return true;
}

}  // namespace rpic

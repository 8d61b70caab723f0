#include "master/core/answer_limit.hpp"

#include <algorithm>

#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr Duration second = std::chrono::seconds(1);

}  // namespace

void AnswerLimit::begin_second(Instant now) {
    if (now - second_began_ < second) return;
    second_began_ = now;
    read_ = answered_ = 0;
    answered_to_.clear();
}

bool AnswerLimit::may_read(Instant now) {
    begin_second(now);
    if (read_ >= limits::discovery_looked_at) return false;
    ++read_;
    return true;
}

bool AnswerLimit::may_answer(Instant now, std::string_view address) {
    begin_second(now);
    if (answered_ >= limits::discovery_answers) return false;
    auto& answered = answered_to_[std::string(address)];
    if (answered >= limits::discovery_per_address) return false;
    ++answered;
    ++answered_;
    return true;
}

Duration AnswerLimit::rest(Instant now) const {
    return std::max(Duration::zero(), second_began_ + second - now);
}

}  // namespace rpic

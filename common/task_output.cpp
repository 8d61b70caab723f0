#include "common/task_output.hpp"

namespace rpic {

ReadOutput TaskOutput::request(bool wait) const {
    ReadOutput request;
    request.job = job_;
    request.task = task_;
    request.offset = offset_;
    request.wait = wait;
    return request;
}

void TaskOutput::take(const Output& answer, std::string_view raw, const OutputReader::Sink& sink) {
    complete_ = false;
    if (answer.attempt != attempt_) {
        attempt_ = answer.attempt;
        reader_ = OutputReader();
        // The offset belonged to another output: this one is asked for from its start.
        const bool from_start = answer.offset == 0;
        offset_ = 0;
        if (!from_start) return;
    }
    if (answer.offset > offset_) return;
    const auto known = static_cast<std::size_t>(offset_ - answer.offset);
    if (known < raw.size()) {
        const auto fresh = raw.substr(known);
        offset_ += static_cast<std::int64_t>(fresh.size());
        reader_.feed(fresh, sink);
    }
    complete_ = answer.complete;
    ended_ = answer.complete && answer.final;
}

}  // namespace rpic

#include "cli/progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "common/text.hpp"

namespace rpic {

namespace {

constexpr auto rate_window = std::chrono::seconds(30);

std::string rate_text(double per_second) {
    char text[32];
    std::snprintf(text, sizeof text, per_second < 10 ? "%.1f/s" : "%.0f/s", per_second);
    return text;
}

}  // namespace

std::int64_t tasks_in(const JobView& job, const char* state) {
    const auto found = job.tasks.find(state);
    return found == job.tasks.end() ? 0 : found->second;
}

std::int64_t tasks_in_all(const JobView& job) {
    std::int64_t all = 0;
    for (const auto& [state, count] : job.tasks) all += count;
    return all;
}

std::int64_t tasks_ended(const JobView& job) {
    return tasks_in(job, "done") + tasks_in(job, "failed") + tasks_in(job, "cancelled");
}

std::string JobProgress::text(const JobView& job, Instant now) {
    const auto ended = tasks_ended(job);
    const auto all = tasks_in_all(job);
    while (samples_.size() > 1 && now - samples_.front().at > rate_window) samples_.pop_front();
    const auto spacing = std::chrono::milliseconds(200);
    if (samples_.empty() || now - samples_.back().at >= spacing) samples_.push_back({now, ended});
    std::string text = std::to_string(tasks_in(job, "done")) + "/" + std::to_string(all) + " done";
    const auto add = [&](const std::string& part) { text += ", " + part; };
    if (const auto failed = tasks_in(job, "failed"); failed > 0)
        add(std::to_string(failed) + " failed");
    const double seconds = to_seconds(now - samples_.front().at);
    const auto grown = static_cast<double>(ended - samples_.front().ended);
    if (seconds >= 1 && grown > 0) {
        const double rate = grown / seconds;
        add(rate_text(rate));
        if (ended < all) add(format_duration(static_cast<double>(all - ended) / rate) + " left");
    }
    if (job.nodes > 0) add(std::to_string(job.nodes) + (job.nodes == 1 ? " node" : " nodes"));
    if (job.state == "held") add("held");
    if (ended < all && job.nodes == 0 && job.state == "queued") add("waiting");
    return text;
}

std::string transfer_text(std::int64_t bytes, std::int64_t all_bytes, std::int64_t files,
                          std::int64_t all_files) {
    std::string text = format_size(bytes) + " of " + format_size(all_bytes);
    if (all_files > 1)
        text += ", " + std::to_string(files) + " of " + std::to_string(all_files) + " files";
    return text;
}

std::string_view cut_to_width(std::string_view text, std::size_t width) {
    std::size_t characters = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool begins = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
        if (begins && ++characters > width) return text.substr(0, i);
    }
    return text;
}

ProgressLine::ProgressLine() : terminal_(::isatty(2) == 1) {}

void ProgressLine::show(const std::string& text) {
    if (!terminal_) return;
    winsize size{};
    const bool known = ::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    const auto line = cut_to_width(text, known ? size.ws_col - 1U : 79U);
    std::fprintf(stderr, "\r%.*s\x1b[K", static_cast<int>(line.size()), line.data());
    std::fflush(stderr);
    shown_ = true;
}

void ProgressLine::clear() {
    if (!shown_) return;
    std::fprintf(stderr, "\r\x1b[K");
    std::fflush(stderr);
    shown_ = false;
}

}  // namespace rpic

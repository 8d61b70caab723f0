#include "slave/web/exchange.hpp"

#include <algorithm>
#include <charconv>

#include "common/limits.hpp"
#include "common/sha256.hpp"
#include "common/text.hpp"

namespace rpic {

std::string Exchange::option(std::string_view name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::string() : found->second;
}

std::int64_t Exchange::number(std::string_view name, std::int64_t least, std::int64_t most,
                              std::int64_t otherwise) const {
    const auto text = option(name);
    if (!query.contains(name)) return otherwise;
    std::int64_t value = 0;
    const auto end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc() || rest != end || value < least || value > most)
        throw ProblemError(400, "bad value \"" + printable(text, limits::log_text_chars) +
                                    "\" for " + std::string(name) +
                                    ": expected a whole number "
                                    "from " +
                                    std::to_string(least) + " to " + std::to_string(most));
    return value;
}

std::string Exchange::choice(std::string_view name, const std::string& words) const {
    auto text = option(name);
    const auto known = split(words, '|');
    if (text.empty() || std::find(known.begin(), known.end(), text) != known.end()) return text;
    throw ProblemError(400, "bad value \"" + printable(text, limits::log_text_chars) + "\" for " +
                                std::string(name) + ": expected one of " + words);
}

std::optional<Duration> Exchange::wait() const {
    if (!query.contains("wait")) return std::nullopt;
    const auto text = option("wait");
    const auto duration = parse_duration(text);
    if (!duration || *duration < Duration::zero())
        throw ProblemError(400, "bad value \"" + printable(text, limits::log_text_chars) +
                                    "\" for wait: expected a duration such as 30s");
    return std::min<Duration>(*duration, limits::web_wait);
}

boost::asio::awaitable<std::unique_ptr<MasterDesk::Visit>> Exchange::visit(bool lasting) {
    wire.allow(limits::connect_time + limits::resolve_time, "the master could not be reached");
    auto opened = co_await services.desk.open(caller.token, lasting);
    wire.allow(limits::request_time + limits::web_request_time, "the master did not answer");
    co_return opened;
}

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
    if (etag.starts_with("W/")) etag.remove_prefix(2);
    for (const std::string& entry : split(if_none_match, ',')) {
        std::string_view candidate = entry;
        if (candidate.starts_with("W/")) candidate.remove_prefix(2);
        if (candidate == "*" || candidate == etag) return true;
    }
    return false;
}

std::string etag_of(std::string_view text) {
    return '"' + sha256_hex(text).substr(0, 16) + '"';
}

Answer tagged(const Request& request, Answer answer, const std::string& etag) {
    if (etag_matches(request.if_none_match, etag)) {
        answer.status = 304;
        answer.text.clear();
        std::erase_if(answer.fields,
                      [](const auto& field) { return field.first == "Content-Type"; });
    }
    answer.fields.emplace_back("ETag", etag);
    // The browser may keep it, but asks each time.
    for (auto& [name, value] : answer.fields)
        if (name == "Cache-Control") value = "no-cache, private";
    return answer;
}

}  // namespace rpic

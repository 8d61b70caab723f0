#include "slave/web/http.hpp"

#include <boost/asio/ip/address_v4.hpp>

#include "common/limits.hpp"
#include "slave/web/host_rule.hpp"
#include "slave/web/uri.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

HostRule host_rule() {
    HostRule rule;
    rule.port = 8123;
    rule.names = {"pi1"};
    return rule;
}

void check_answer(const Request& request) {
    const auto answer = error_answer(404, request.path, request.target);
    const auto header = answer_header(answer, request.keep_alive);
    expect(header.starts_with("HTTP/1.1 ") && header.ends_with("\r\n\r\n"), "no header");
    expect(header.find("\r\n\r\n") == header.size() - 4, "a header within the header");
    expect(header.find("Content-Security-Policy: default-src 'none'") != std::string::npos,
           "an answer without its policy");
}

/// What a path or query means is said again by its encoded form.
void check_encoding(std::string_view text) {
    const auto decoded = percent_decoded(text);
    if (!decoded) return;
    expect(decoded->find('\0') == std::string::npos, "a NUL in a path");
    expect(percent_decoded(percent_encoded(*decoded, false)) == decoded, "another text");
}

/// What a session answers, in one line for each request; ends at the first that breaks the rules.
std::string serve(std::string_view input, std::size_t piece) {
    RequestReader reader;
    std::string bytes;
    std::string told;
    const auto rule = host_rule();
    const boost::asio::ip::address here = boost::asio::ip::address_v4::loopback();
    try {
        for (std::size_t at = 0; at < input.size(); at += piece) {
            bytes += input.substr(at, piece);
            while (const auto request = reader.next(bytes)) {
                expect(request->path.starts_with('/'), "a path without a slash");
                expect(request->target.find_first_of("\r\n") == std::string::npos, "a split line");
                auto verdict = HostVerdict::malformed;
                if (request->hosts.size() == 1)
                    verdict = judge_host(rule, request->hosts.front(), here);
                check_answer(*request);
                check_encoding(request->path);
                const auto query = parse_query(request->query);
                told += request->method + ' ' + request->target + ' ' +
                        std::to_string(static_cast<int>(verdict)) + ' ' +
                        std::to_string(query ? query->size() : 0) +
                        (request->keep_alive ? " on\n" : " end\n");
                // What follows may be its body.
                if (!request->keep_alive || request->has_body()) return told;
            }
            expect(bytes.size() <= limits::web_header_bytes + input.size(), "bytes pile up");
        }
    } catch (const BadRequestError& error) {
        expect(error.status == 400 || error.status == 431, "an odd status");
        expect_one_line(error.what());
        const auto answer = error_answer(error.status, "/api/v1/nodes", error.what());
        expect(answer.body().size() < 1000, "a long complaint");
        told += "broken\n";
    }
    return told;
}

}  // namespace

/// Requests are the same however they are cut, and none of them gets more than it may.
void fuzz_http(std::string_view input) {
    const std::size_t piece = take_byte(input) % 24 + 1;
    // What is wrong with a header may be told before it is complete, or then.
    const auto complete = std::string(input) + "\r\n\r\n";
    const auto whole = serve(complete, complete.size());
    expect(serve(complete, piece) == whole, "other requests when the bytes come in pieces");
}

}  // namespace rpic::fuzz

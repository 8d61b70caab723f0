#include "slave/web/http.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address_v4.hpp>

#include "common/limits.hpp"
#include "slave/web/host_rule.hpp"
#include "slave/web/routes.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

/// What a server knows that answers.
struct Page {
    Page() {
        NodeView node;
        node.id = "1";
        node.name = "<script>alert(1)</script>";
        view.put_node(std::move(node), Instant{});
        view.connected = true;
        rule.port = 8123;
        rule.names = {"pi1"};
    }
    boost::asio::io_context io;
    ClusterView view{io.get_executor()};
    HostRule rule;
};

void check_answer(const Request& request, const Answer& answer) {
    const auto header = answer_header(answer, request.keep_alive);
    expect(header.starts_with("HTTP/1.1 ") && header.ends_with("\r\n\r\n"), "no header");
    expect(header.find("\r\n\r\n") == header.size() - 4, "a header within the header");
    expect(header.find("Content-Security-Policy: default-src 'none'") != std::string::npos,
           "an answer without its policy");
    const bool reads = request.method == "GET" || request.method == "HEAD";
    if (!reads) expect(answer.status == 405, "an answer to a method that is not there");
    if (request.has_body) expect(answer.status == 405 || answer.status == 413, "a body was taken");
}

/// What a session answers, in one line for each request; ends at the first that breaks the rules.
std::string serve(Page& page, std::string_view input, std::size_t piece) {
    RequestReader reader;
    std::string bytes;
    std::string told;
    const boost::asio::ip::address here = boost::asio::ip::address_v4::loopback();
    try {
        for (std::size_t at = 0; at < input.size(); at += piece) {
            bytes += input.substr(at, piece);
            while (const auto request = reader.next(bytes)) {
                expect(request->path.starts_with('/'), "a path without a slash");
                expect(request->target.find_first_of("\r\n") == std::string::npos, "a split line");
                auto verdict = HostVerdict::malformed;
                if (request->hosts.size() == 1)
                    verdict = judge_host(page.rule, request->hosts.front(), here);
                const auto answer = route(*request, page.view, Instant{});
                check_answer(*request, answer);
                told += request->method + ' ' + request->target + ' ' +
                        std::to_string(static_cast<int>(verdict)) + ' ' +
                        std::to_string(answer.status) + (request->keep_alive ? " on\n" : " end\n");
                // As the session does: nobody knows where a body would end.
                if (!request->keep_alive || request->has_body) return told;
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
    static Page page;
    const std::size_t piece = take_byte(input) % 24 + 1;
    // What is wrong with a header may be told before it is complete, or then.
    const auto complete = std::string(input) + "\r\n\r\n";
    const auto whole = serve(page, complete, complete.size());
    expect(serve(page, complete, piece) == whole, "other requests when the bytes come in pieces");
}

}  // namespace rpic::fuzz

#include "common/line_writer.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <climits>
#include <string>

using namespace rpic;

namespace {

/// Two ends of which the second is written to, and blocks when it is full, as a program's stderr.
struct Ends {
    std::array<int, 2> fds{-1, -1};
    ~Ends() {
        ::close(fds[0]);
        if (fds[1] >= 0) ::close(fds[1]);
    }

    std::string drain() {
        std::string text;
        std::array<char, 65536> buffer{};
        const int flags = ::fcntl(fds[0], F_GETFL);
        ::fcntl(fds[0], F_SETFL, flags | O_NONBLOCK);
        for (;;) {
            const auto size = ::read(fds[0], buffer.data(), buffer.size());
            if (size <= 0) return text;
            text.append(buffer.data(), static_cast<std::size_t>(size));
        }
    }
};

void check_nobody_reads(Ends& ends) {
    LineWriter writer(ends.fds[1]);
    const int lines = 20'000;  // 2 MB: more than any of these holds
    for (int number = 0; number < lines; ++number) writer.write(std::string(99, 'x'));
    const auto first = ends.drain();
    CHECK(first.size() >= 4096);
    const auto whole = first.size() / 100;
    CHECK(whole < static_cast<std::size_t>(lines));
    writer.write("again");
    writer.write("and again");
    const bool torn = first.back() != '\n';
    const auto lost = std::to_string(static_cast<std::size_t>(lines) - whole);
    const std::string start = torn ? "\n" : "";
    CHECK(ends.drain() == start + "again (" + lost + " lines before it were lost)\nand again\n");
}

}  // namespace

TEST_CASE("a pipe that nobody reads costs lines and nothing else") {
    Ends ends;
    REQUIRE(::pipe2(ends.fds.data(), O_CLOEXEC) == 0);
    check_nobody_reads(ends);
}

TEST_CASE("a socket that nobody reads costs lines and nothing else") {
    Ends ends;
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.fds.data()) == 0);
    check_nobody_reads(ends);
}

TEST_CASE("a line is never longer than a pipe takes in one go") {
    Ends ends;
    REQUIRE(::pipe2(ends.fds.data(), O_CLOEXEC) == 0);
    LineWriter writer(ends.fds[1]);
    writer.write(std::string(3 * PIPE_BUF, 'x'));
    CHECK(ends.drain() == std::string(PIPE_BUF - 1, 'x') + '\n');
}

TEST_CASE("a disk without room costs lines, and there is nobody to tell") {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    LineWriter writer(full);
    for (int number = 0; number < 10; ++number) writer.write("x");
    ::close(full);
}

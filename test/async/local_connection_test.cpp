#include "slave/runner/local_connection.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

using namespace rpic;

TEST_CASE("a connection on which something could not be sent ends", "[local_connection]") {
    boost::asio::io_context io;
    int ends[2];
    // Of this kind, which sends all at once, one that is too long fails as others do without
    // memory.
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends) == 0);
    LocalConnection connection(LocalSocket(io, boost::asio::local::stream_protocol(), ends[0]));
    connection.send_bytes("short");
    io.poll();
    CHECK_FALSE(connection.closed());
    connection.send_bytes(std::string(1024 * 1024, 'x'));
    io.restart();
    io.poll();
    CHECK(connection.closed());
    ::close(ends[1]);
}

// The task of the latency figure: sends the time of its first instruction, in nanoseconds of
// CLOCK_BOOTTIME, to a UDP port on loopback. Linked statically, so that what is measured is the
// cluster and not the dynamic linker: rpicluster-bench-stamp PORT

#include <arpa/inet.h>
#include <sys/socket.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    if (argc != 2) return 2;
    char text[32];
    const int size =
        std::snprintf(text, sizeof text, "%lld", now.tv_sec * 1'000'000'000LL + now.tv_nsec);
    const int socket = ::socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<unsigned short>(std::atoi(argv[1])));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto sent = ::sendto(socket, text, static_cast<std::size_t>(size), 0,
                               reinterpret_cast<sockaddr*>(&to), sizeof to);
    return sent == size ? 0 : 1;
}

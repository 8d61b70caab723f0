#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/follow.hpp"
#include "cli/top_picture.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"

namespace rpic {

namespace {

constexpr Duration refresh = std::chrono::seconds(1);

TopView look(Client& client) {
    TopView view;
    view.status = client.ask<Status>(GetStatus{});
    view.nodes = client.ask_all(ListNodes{}, &NodeList::nodes);
    ListJobs request;
    for (const char* state : {"running", "queued"}) {
        request.state = state;
        for (auto& job : client.ask_all(request, &JobList::jobs)) view.jobs.push_back(job);
    }
    return view;
}

/// The terminal's other page, without a cursor, and with keys that come at once and are not shown;
/// all is as it was at the end.
class Screen {
  public:
    Screen() : has_keys_(::tcgetattr(0, &before_) == 0) {
        std::printf("\x1b[?1049h\x1b[?25l");
        if (!has_keys_) return;
        auto now = before_;
        now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
        ::tcsetattr(0, TCSANOW, &now);
    }
    ~Screen() {
        std::printf("\x1b[?25h\x1b[?1049l");
        std::fflush(stdout);
        if (has_keys_) ::tcsetattr(0, TCSAFLUSH, &before_);
    }
    bool has_keys() const { return has_keys_; }
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;

    static void draw(const TopView& view) {
        winsize size{};
        const bool known = ::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
        std::string picture = "\x1b[H";
        const auto lines = top_picture(view, known ? size.ws_col : 80, known ? size.ws_row : 24);
        for (std::size_t i = 0; i < lines.size(); ++i)
            picture += (i == 0 ? "" : "\r\n") + lines[i] + "\x1b[K";
        write_now(stdout, picture + "\x1b[J");
    }

  private:
    termios before_{};
    bool has_keys_;
};

}  // namespace

int verb_top(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    if (invocation.machine_readable()) {
        const auto view = look(client);
        json::object value;
        auto status = to_json(view.status).as_object();
        status.erase("id");
        value["status"] = std::move(status);
        value["nodes"] = to_json(view.nodes);
        value["jobs"] = to_json(view.jobs);
        print_json(std::move(value));
        return exit_code::ok;
    }
    if (::isatty(1) != 1) {
        for (const auto& line : top_picture(look(client), 200, 200))
            std::printf("%s\n", line.c_str());
        return exit_code::ok;
    }
    client.watch_interrupts();
    try {
        const Screen screen;
        if (screen.has_keys()) client.watch_quit_key();
        for (;;) {
            Screen::draw(across_restarts(client, [&] { return look(client); }));
            client.pause(refresh);
        }
    } catch (const InterruptedError&) {
        return exit_code::ok;
    }
}

}  // namespace rpic

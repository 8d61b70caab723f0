#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/limits.hpp"
#include "common/master_client.hpp"

namespace rpic {

/// Where requests of browsers ask the master: a connection of its own for each, with the token that
/// came with the request, so that the webserver has no more power than that token. What a viewer on
/// this machine asks without a token goes with the webserver's own key, which may look and no more.
class MasterDesk {
  public:
    /// The master that the slave is connected to; nothing while there is none.
    using Target = std::function<std::optional<HostPort>()>;
    using OwnKey = std::function<std::string()>;

    MasterDesk(Target target, OwnKey own_key)
        : target_(std::move(target)), own_key_(std::move(own_key)) {}

    /// One connection, from open() to its end. Its functions throw ProblemError if the master
    /// cannot be asked, RequestFailedError if it says no.
    class Visit {
      public:
        Visit(MasterDesk& desk, const std::string& key, bool lasting);
        ~Visit();
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;

        template <class Request>
        void send(Request request, std::string_view raw = {}) {
            check_size(encode(request).size());
            asked_ = client_.send(std::move(request), raw);
        }
        /// The next answer to the last request; those to earlier ones are thrown away.
        asio::awaitable<Reply> reply(Duration patience = limits::request_time);
        /// The same for a request that is answered whenever something happens; nothing if that
        /// takes longer.
        asio::awaitable<std::optional<Reply>> news(Duration patience);

        asio::awaitable<void> connect(HostPort target);

      private:
        /// The master closes on whoever sends it more at once. Throws ProblemError 413.
        static void check_size(std::size_t bytes);

        MasterDesk& desk_;
        bool lasting_;
        MasterClient client_;
        std::int64_t asked_ = 0;
    };

    /// Connects. An empty token stands for the own key. A `lasting` visit may go on for hours;
    /// these never take all places.
    asio::awaitable<std::unique_ptr<Visit>> open(std::string token, bool lasting = false);

    std::size_t visits() const { return visits_; }

  private:
    Target target_;
    OwnKey own_key_;
    std::size_t visits_ = 0;
    std::size_t lasting_ = 0;
};

}  // namespace rpic

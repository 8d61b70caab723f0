#include "slave/web/waiting.hpp"

#include "common/limits.hpp"
#include "common/sleep.hpp"
#include "common/until_first_failure.hpp"

namespace rpic {

namespace {

using Part = ClusterView::Part;

boost::asio::awaitable<void> next_change(ClusterView& view, std::uint64_t seen) {
    co_await view.changed.wait(seen);
}

std::uint64_t version_of(const ClusterView& view, std::optional<Part> part) {
    return part ? view.version_of(*part) : view.version;
}

/// A weak one: ages and clocks differ between two answers with the same tag.
std::string tag_of(const ClusterView& view, std::optional<Part> part) {
    const auto number = part ? static_cast<int>(*part) : -1;
    return "W/\"" + view.stream + '.' + std::to_string(number + 1) + '.' +
           std::to_string(version_of(view, part)) + '"';
}

}  // namespace

boost::asio::awaitable<std::string> wait_for_view(Exchange& exchange, std::optional<Part> part) {
    auto& view = exchange.services.view;
    co_await wait_for_first_picture(view);
    const auto patience = exchange.wait();
    if (!patience) co_return tag_of(view, part);
    exchange.wire.allow(*patience + limits::web_request_time, "it waited for too long");
    const auto& condition = exchange.request.if_none_match;
    const auto first = version_of(view, part);
    const auto deadline = Clock::now() + *patience;
    for (;;) {
        const bool same = condition.empty() ? version_of(view, part) == first
                                            : etag_matches(condition, tag_of(view, part));
        const Duration left = deadline - Clock::now();
        if (!same || left <= Duration::zero()) break;
        const auto seen = view.changed.count();
        co_await until_first_failure(next_change(view, seen), sleep_for(left));
    }
    co_return tag_of(view, part);
}

boost::asio::awaitable<void> wait_for_first_picture(ClusterView& view) {
    const auto deadline = view.started + limits::web_told_time;
    while (view.starting) {
        const Duration left = deadline - Clock::now();
        if (left <= Duration::zero()) co_return;
        const auto seen = view.changed.count();
        co_await until_first_failure(next_change(view, seen), sleep_for(left));
    }
}

boost::asio::awaitable<void> wait_for_change(ClusterView& view, Part part, std::uint64_t seen,
                                             Duration patience) {
    const auto deadline = Clock::now() + patience;
    while (view.version_of(part) == seen) {
        const Duration left = deadline - Clock::now();
        if (left <= Duration::zero()) co_return;
        const auto changes = view.changed.count();
        co_await until_first_failure(next_change(view, changes), sleep_for(left));
    }
}

}  // namespace rpic

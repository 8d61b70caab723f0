#include "slave/web/view_texts.hpp"

#include <utility>

#include "common/limits.hpp"
#include "slave/web/view_json.hpp"

namespace rpic {

const ViewTexts::Text& ViewTexts::fresh(Kept& kept, std::string key, Instant now, Duration age,
                                        const std::function<std::string()>& make) {
    if (kept.text && kept.key == key && now - kept.made < age) return kept.text;
    kept.text = std::make_shared<const std::string>(make());
    kept.key = std::move(key);
    kept.made = now;
    return kept.text;
}

ViewTexts::Text ViewTexts::nodes(Instant now) {
    auto version = std::to_string(view_.version_of(ClusterView::Part::nodes));
    return fresh(nodes_, std::move(version), now, limits::web_event_interval,
                 [&] { return nodes_json(view_, now); });
}

ViewTexts::Text ViewTexts::history(Instant now) {
    // A sample more or less is on the event stream as well.
    return fresh(history_, {}, now, limits::web_history_kept,
                 [&] { return history_json(view_, now); });
}

ViewTexts::Text ViewTexts::state(const std::string& id, Instant now) {
    return fresh(state_, std::to_string(view_.version) + ' ' + id, now, limits::web_event_interval,
                 [&] { return state_json(view_, id, now); });
}

}  // namespace rpic

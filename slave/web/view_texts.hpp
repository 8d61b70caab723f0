#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/clock.hpp"
#include "slave/web/cluster_view.hpp"

namespace rpic {

/// The larger answers of the HTTP API as they are sent, made once for all who ask: again when what
/// they show has changed, or when the ages in them would be wrong by more than a moment.
class ViewTexts {
  public:
    using Text = std::shared_ptr<const std::string>;

    explicit ViewTexts(const ClusterView& view) : view_(view) {}

    Text nodes(Instant now);
    Text history(Instant now);
    /// `id` is that of the last event.
    Text state(const std::string& id, Instant now);

  private:
    struct Kept {
        Text text;
        std::string key;  // what it was made of
        Instant made{};
    };

    static const Text& fresh(Kept& kept, std::string key, Instant now, Duration age,
                             const std::function<std::string()>& make);

    const ClusterView& view_;
    Kept nodes_;
    Kept history_;
    Kept state_;
};

}  // namespace rpic

#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/messages.hpp"

namespace rpic {

/// Packs reports and their inline outputs into messages that fit into frames: at most
/// limits::page_bytes of JSON and limits::chunk_bytes behind it, as long as each report does.
class ReportPages {
  public:
    using Send = std::function<void(const AttemptsEnded& page, std::string_view raw)>;

    explicit ReportPages(Send send) : send_(std::move(send)) {}

    /// `output` travels behind the message; the report's own counts are set to it if it is not
    /// empty.
    void add(AttemptReport report, std::string_view output);

    /// Sends what is left.
    void flush();

  private:
    Send send_;
    AttemptsEnded page_;
    std::string raw_;
    std::size_t json_bytes_ = 0;
};

}  // namespace rpic

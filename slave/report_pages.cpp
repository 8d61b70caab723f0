#include "slave/report_pages.hpp"

#include "common/json.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

void ReportPages::add(AttemptReport report, std::string_view output) {
    report.reason = printable(report.reason, limits::text_chars);
    report.inline_bytes = static_cast<std::int64_t>(output.size());
    if (!output.empty()) report.output_bytes = report.inline_bytes;
    const auto size = json::serialize(to_json(report)).size() + 1;
    if (json_bytes_ + size > limits::page_bytes ||
        raw_.size() + output.size() > limits::chunk_bytes)
        flush();
    json_bytes_ += size;
    raw_ += output;
    page_.reports.push_back(std::move(report));
}

void ReportPages::flush() {
    if (!page_.reports.empty()) send_(page_, raw_);
    page_.reports.clear();
    raw_.clear();
    json_bytes_ = 0;
}

}  // namespace rpic

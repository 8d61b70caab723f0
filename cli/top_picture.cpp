#include "cli/top_picture.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/progress.hpp"
#include "common/limits.hpp"
#include "common/shell_quote.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

std::int64_t count(const std::map<std::string, std::int64_t>& counts, const char* name) {
    const auto found = counts.find(name);
    return found == counts.end() ? 0 : found->second;
}

std::string bar(double share, std::size_t width) {
    const auto full = static_cast<std::size_t>(
        std::lround(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
    return "[" + std::string(full, '#') + std::string(width - full, ' ') + "]";
}

std::string node_line(const NodeView& node) {
    char text[256];
    const double percent = node.vitals.cpu_percent.value_or(0);
    std::snprintf(text, sizeof text, "%-16.63s %-8.16s %s %3ld%%  %3lld running %3lld waiting",
                  node.name.c_str(), node.state.c_str(), bar(percent / 100, 20).c_str(),
                  std::lround(percent), static_cast<long long>(node.running_tasks),
                  static_cast<long long>(node.waiting_tasks));
    std::string line = text;
    if (node.vitals.temperature_c)
        line += "  " + std::to_string(std::lround(*node.vitals.temperature_c)) + "C";
    if (node.draining) line += "  draining";
    if (node.quarantined) line += "  quarantined";
    for (const auto& reason : node.unwell) line += "  " + printable(reason, limits::name_chars);
    return line;
}

std::string job_line(const JobView& job) {
    const auto all = std::max<std::int64_t>(tasks_in_all(job), 1);
    const auto ended = tasks_ended(job);
    char text[128];
    std::snprintf(text, sizeof text, "%-8.20s %-9.16s %s %7lld/%lld", job.id.c_str(),
                  job.state.c_str(),
                  bar(static_cast<double>(ended) / static_cast<double>(all), 20).c_str(),
                  static_cast<long long>(ended), static_cast<long long>(all));
    std::string line = text;
    if (tasks_in(job, "failed") > 0)
        line += "  " + std::to_string(tasks_in(job, "failed")) + " failed";
    const auto name = job.name.empty() ? shell_line(job.command) : job.name;
    return line + "  " + printable(name, limits::name_chars);
}

}  // namespace

std::vector<std::string> top_picture(const TopView& view, std::size_t width, std::size_t height) {
    std::vector<std::string> lines;
    const auto& status = view.status;
    lines.push_back(std::to_string(count(status.nodes, "online")) + " online, " +
                    std::to_string(count(status.nodes, "suspect") + count(status.nodes, "lost")) +
                    " missing; jobs: " + std::to_string(count(status.jobs, "running")) +
                    " running, " + std::to_string(count(status.jobs, "queued")) +
                    " queued; master up " + format_duration(status.uptime_seconds) + ", " +
                    format_size(status.rss_bytes));
    lines.emplace_back();
    const auto room = height > 6 ? height - 6 : 1;
    const auto for_jobs = std::min(view.jobs.size(), std::max<std::size_t>(room / 2, 1));
    const auto for_nodes = std::min(view.nodes.size(), room - std::min(room, for_jobs));
    for (std::size_t i = 0; i < for_nodes; ++i) lines.push_back(node_line(view.nodes[i]));
    if (for_nodes < view.nodes.size())
        lines.push_back("... and " + std::to_string(view.nodes.size() - for_nodes) + " nodes");
    lines.emplace_back();
    if (view.jobs.empty()) lines.emplace_back("No job waits or runs.");
    for (std::size_t i = view.jobs.size() - for_jobs; i < view.jobs.size(); ++i)
        lines.push_back(job_line(view.jobs[i]));
    if (lines.size() > height) lines.resize(height);
    for (auto& line : lines) line = cut_to_width(line, width);
    return lines;
}

}  // namespace rpic

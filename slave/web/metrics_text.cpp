#include "slave/web/metrics_text.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <vector>

namespace rpic {

namespace {

/// With as few digits as bring the same value back. std::to_chars would do it in one go, by tables
/// that are larger than this webserver's page.
std::string number_text(double value) {
    char text[32];
    for (const int digits : {15, 16, 17}) {
        std::snprintf(text, sizeof text, "%.*g", digits, value);
        if (std::strtod(text, nullptr) == value) break;
    }
    return text;
}

/// The value of a label: backslash, quote and line feed are written with a backslash.
std::string label_text(const std::string& value) {
    std::string text;
    for (const char c : value) {
        if (c == '\\' || c == '"') text += '\\';
        if (c == '\n')
            text += "\\n";
        else
            text += c;
    }
    return text;
}

using Labels = std::vector<std::pair<const char*, std::string>>;

class Page {
  public:
    void begin(const char* name, const char* type, const char* help) {
        name_ = name;
        text_ += "# HELP " + name_ + ' ' + help + "\n# TYPE " + name_ + ' ' + type + '\n';
    }
    void add(double value, const Labels& labels = {}, const char* suffix = "") {
        text_ += name_ + suffix;
        std::string inside;
        for (const auto& [label, text] : labels)
            inside +=
                (inside.empty() ? "" : ",") + std::string(label) + "=\"" + label_text(text) + '"';
        if (!inside.empty()) text_ += '{' + inside + '}';
        text_ += ' ' + number_text(value) + '\n';
    }
    void single(const char* name, const char* type, const char* help, double value) {
        begin(name, type, help);
        add(value);
    }
    void by_state(const char* name, const char* help,
                  const std::map<std::string, std::int64_t>& counts) {
        begin(name, "gauge", help);
        for (const auto& [state, count] : counts)
            add(static_cast<double>(count), {{"state", state}});
    }
    void histogram(const char* name, const char* help, const Histogram& histogram) {
        begin(name, "histogram", help);
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < histogram_seconds.size(); ++i) {
            sum += i < histogram.counts.size() ? histogram.counts[i] : 0;
            add(static_cast<double>(sum), {{"le", number_text(histogram_seconds[i])}}, "_bucket");
        }
        if (histogram.counts.size() > histogram_seconds.size())
            sum += histogram.counts[histogram_seconds.size()];
        add(static_cast<double>(sum), {{"le", "+Inf"}}, "_bucket");
        add(histogram.sum, {}, "_sum");
        add(static_cast<double>(sum), {}, "_count");
    }
    std::string take() { return std::move(text_); }

  private:
    std::string name_;
    std::string text_;
};

struct NodeMetric {
    const char* name;
    const char* type;
    const char* help;
    std::function<std::optional<double>(const NodeView&)> value;
};

template <class Value>
std::optional<double> number(const std::optional<Value>& value) {
    if (!value) return std::nullopt;
    return static_cast<double>(*value);
}

std::optional<double> ratio(std::optional<double> percent) {
    if (percent) *percent /= 100;
    return percent;
}

std::optional<double> hertz(const std::optional<std::int64_t>& mhz) {
    auto value = number(mhz);
    if (value) *value *= 1e6;
    return value;
}

const std::vector<NodeMetric>& node_metrics() {
    static const std::vector<NodeMetric> metrics = {
        {"rpicluster_node_up", "gauge", "1 while the node is online.",
         [](const NodeView& node) { return std::optional<double>(node.state == "online"); }},
        {"rpicluster_node_cpu_ratio", "gauge", "Share of all usable cores that is busy, 0 to 1.",
         [](const NodeView& node) { return ratio(node.vitals.cpu_percent); }},
        {"rpicluster_node_memory_bytes", "gauge", "Memory that may be used.",
         [](const NodeView& node) {
             return std::optional<double>(static_cast<double>(node.ram_bytes));
         }},
        {"rpicluster_node_memory_available_bytes", "gauge", "Memory that is still to be had.",
         [](const NodeView& node) { return number(node.vitals.ram_available_bytes); }},
        {"rpicluster_node_swap_bytes", "gauge", "All swap space.",
         [](const NodeView& node) { return number(node.vitals.swap_bytes); }},
        {"rpicluster_node_swap_used_bytes", "gauge", "Swap space in use.",
         [](const NodeView& node) { return number(node.vitals.swap_used_bytes); }},
        {"rpicluster_node_load1", "gauge", "Load average of one minute.",
         [](const NodeView& node) { return node.vitals.load_1m; }},
        {"rpicluster_node_temperature_celsius", "gauge", "Temperature of the processor.",
         [](const NodeView& node) { return node.vitals.temperature_c; }},
        {"rpicluster_node_undervoltage", "gauge", "1 while the power supply is too weak.",
         [](const NodeView& node) { return number(node.vitals.undervoltage); }},
        {"rpicluster_node_throttled", "gauge", "1 while the board slows itself down.",
         [](const NodeView& node) { return number(node.vitals.throttled); }},
        {"rpicluster_node_undervoltage_seen", "gauge",
         "1 if the power supply was too weak since the board or its slave started.",
         [](const NodeView& node) { return number(node.vitals.undervoltage_seen); }},
        {"rpicluster_node_frequency_capped", "gauge",
         "1 while the processor may not be as fast as it can.",
         [](const NodeView& node) { return number(node.vitals.frequency_capped); }},
        {"rpicluster_node_cpu_frequency_max_hertz", "gauge", "What the processor can do.",
         [](const NodeView& node) { return hertz(node.vitals.cpu_mhz_max); }},
        {"rpicluster_node_cpu_frequency_limit_hertz", "gauge", "What the processor may do.",
         [](const NodeView& node) { return hertz(node.vitals.cpu_mhz_limit); }},
        {"rpicluster_node_unwell", "gauge", "How many things are wrong with the node.",
         [](const NodeView& node) {
             return std::optional<double>(static_cast<double>(node.unwell.size()));
         }},
        {"rpicluster_node_reconnects_total", "counter",
         "How often the node came back since the master started.",
         [](const NodeView& node) {
             return std::optional<double>(static_cast<double>(node.reconnects));
         }},
        {"rpicluster_node_running_tasks", "gauge", "Tasks that run on the node.",
         [](const NodeView& node) {
             return std::optional<double>(static_cast<double>(node.running_tasks));
         }},
    };
    return metrics;
}

/// What is around the processor.
const std::vector<NodeMetric>& board_metrics() {
    static const std::vector<NodeMetric> metrics = {
        {"rpicluster_node_disk_bytes", "gauge", "Size of the disk with the node's state.",
         [](const NodeView& node) { return number(node.vitals.disk_bytes); }},
        {"rpicluster_node_disk_free_bytes", "gauge", "What is free of it.",
         [](const NodeView& node) { return number(node.vitals.disk_free_bytes); }},
        {"rpicluster_node_disk_read_only", "gauge",
         "1 if that file system, or the root's, has become read-only.",
         [](const NodeView& node) { return number(node.vitals.disk_read_only); }},
        {"rpicluster_node_disk_errors", "gauge", "Errors that ext4 has counted on the disks.",
         [](const NodeView& node) { return number(node.vitals.disk_errors); }},
        {"rpicluster_node_network_speed_bytes", "gauge", "Speed of the network link, a second.",
         [](const NodeView& node) {
             auto speed = number(node.vitals.network_mbps);
             if (speed) *speed *= 1e6 / 8;
             return speed;
         }},
        {"rpicluster_node_network_receive_bytes_total", "counter",
         "What the node received since it booted.",
         [](const NodeView& node) { return number(node.vitals.network_received_bytes); }},
        {"rpicluster_node_network_transmit_bytes_total", "counter",
         "What the node sent since it booted.",
         [](const NodeView& node) { return number(node.vitals.network_sent_bytes); }},
        {"rpicluster_node_network_errors_total", "counter",
         "Packets that were received or sent badly since it booted.",
         [](const NodeView& node) { return number(node.vitals.network_errors); }},
        {"rpicluster_node_cpu_pressure_ratio", "gauge",
         "Share of the last 10 s in which something waited for a CPU.",
         [](const NodeView& node) { return ratio(node.vitals.pressure_cpu); }},
        {"rpicluster_node_memory_pressure_ratio", "gauge", "The same for memory.",
         [](const NodeView& node) { return ratio(node.vitals.pressure_memory); }},
        {"rpicluster_node_io_pressure_ratio", "gauge", "The same for disks.",
         [](const NodeView& node) { return ratio(node.vitals.pressure_io); }},
        {"rpicluster_node_clock_set", "gauge", "1 while something keeps the wall clock right.",
         [](const NodeView& node) { return number(node.vitals.clock_set); }},
    };
    return metrics;
}

void add_nodes(Page& page, const ClusterView& view, Instant now) {
    page.begin("rpicluster_node_info", "gauge", "What the node is; always 1.");
    for (const auto& [id, node] : view.nodes)
        page.add(1, {{"node", node.name},
                     {"arch", node.arch},
                     {"cpu", node.cpu},
                     {"role", node.role},
                     {"version", node.version}});
    for (const auto* metrics : {&node_metrics(), &board_metrics()})
        for (const auto& metric : *metrics) {
            page.begin(metric.name, metric.type, metric.help);
            for (const auto& [id, node] : view.nodes)
                if (const auto value = metric.value(node)) page.add(*value, {{"node", node.name}});
        }
    page.begin("rpicluster_node_heartbeat_age_seconds", "gauge",
               "Time since the master last heard of the node.");
    for (const auto& [id, node] : view.nodes) {
        const auto told = view.told.find(id);
        if (!node.last_seen_seconds || told == view.told.end()) continue;
        page.add(*node.last_seen_seconds + to_seconds(now - told->second), {{"node", node.name}});
    }
}

struct CounterMetric {
    const char* counter;  // of `rpicluster status`
    const char* name;
    const char* help;
};

constexpr CounterMetric counter_metrics[] = {
    {"tasks_started", "rpicluster_task_attempts_total", "Attempts that were ordered."},
    {"tasks_done", "rpicluster_tasks_done_total", "Tasks that succeeded."},
    {"tasks_failed", "rpicluster_tasks_failed_total", "Tasks that failed for good."},
    {"attempts_lost", "rpicluster_attempts_lost_total", "Attempts lost with their node or runner."},
    {"late_results", "rpicluster_late_results_total", "Results that came when none was wanted."},
};

void add_work(Page& page, const MetricsChanged& metrics) {
    const auto& status = metrics.status;
    page.by_state("rpicluster_tasks", "Tasks of all jobs that are kept, by state.", metrics.tasks);
    page.by_state("rpicluster_jobs", "Jobs that are kept, by state.", status.jobs);
    page.histogram("rpicluster_task_duration_seconds", "How long tasks ran.", metrics.task_seconds);
    page.histogram("rpicluster_scheduling_delay_seconds",
                   "From when a job could start a task, or started its last one, to the order.",
                   metrics.wait_seconds);
    for (const auto& [counter, name, help] : counter_metrics) {
        const auto found = status.counters.find(counter);
        if (found != status.counters.end())
            page.single(name, "counter", help, static_cast<double>(found->second));
    }
    page.single("rpicluster_master_written_bytes_total", "counter",
                "Bytes that the master caused to be written to its disk.",
                static_cast<double>(status.bytes_written));
    page.single("rpicluster_master_resident_memory_bytes", "gauge", "Memory of the master.",
                static_cast<double>(status.rss_bytes));
    page.single("rpicluster_master_uptime_seconds", "gauge", "Time since the master started.",
                status.uptime_seconds);
}

/// A tag of the line protocol: comma, space, equals sign and backslash are escaped; a line feed
/// cannot be.
std::string tag_text(const std::string& value) {
    std::string text;
    for (const char c : value) {
        if (c == ',' || c == ' ' || c == '=' || c == '\\') text += '\\';
        text += c == '\n' ? '_' : c;
    }
    return text;
}

}  // namespace

std::string metrics_text(const ClusterView& view, std::size_t viewers, Instant now) {
    Page page;
    page.single("rpicluster_master_up", "gauge", "1 while the webserver has a link to the master.",
                view.connected);
    std::map<std::string, std::int64_t> states = {{"online", 0}, {"suspect", 0}, {"lost", 0}};
    for (const auto& [id, node] : view.nodes) ++states[node.state];
    page.by_state("rpicluster_nodes", "Nodes by state.", states);
    add_nodes(page, view, now);
    if (view.metrics) add_work(page, *view.metrics);
    page.single("rpicluster_web_viewers", "gauge", "Browsers that watch the event stream.",
                static_cast<double>(viewers));
    return page.take();
}

std::string influx_lines(const ClusterView& view, std::int64_t wall_seconds) {
    std::string text;
    const auto time =
        wall_seconds > 0 ? ' ' + std::to_string(wall_seconds) + "000000000\n" : std::string("\n");
    for (const auto& [id, node] : view.nodes) {
        // What a silent node last said is no measurement of now.
        if (node.state != "online") continue;
        const auto tag = ",node=" + tag_text(node.name) + ' ';
        const auto& vitals = node.vitals;
        std::string cpu;
        if (vitals.cpu_percent) cpu += "percent=" + number_text(*vitals.cpu_percent);
        if (vitals.temperature_c)
            cpu +=
                (cpu.empty() ? "" : ",") + ("temperature_c=" + number_text(*vitals.temperature_c));
        if (vitals.load_1m)
            cpu += (cpu.empty() ? "" : ",") + ("load_1m=" + number_text(*vitals.load_1m));
        if (!cpu.empty()) text += "cpu" + tag + cpu + time;
        const auto sizes = [&](const char* measurement, std::int64_t total, std::int64_t used) {
            text += measurement + tag + "total_bytes=" + std::to_string(total) +
                    "i,used_bytes=" + std::to_string(used) + 'i' + time;
        };
        if (vitals.ram_available_bytes)
            sizes("ram", node.ram_bytes,
                  std::max<std::int64_t>(node.ram_bytes - *vitals.ram_available_bytes, 0));
        if (vitals.swap_bytes && vitals.swap_used_bytes)
            sizes("swap", *vitals.swap_bytes, *vitals.swap_used_bytes);
    }
    return text;
}

}  // namespace rpic

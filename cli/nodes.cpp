#include <cmath>
#include <cstdio>

#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

Colour node_colour(const std::string& state) {
    if (state == "online") return Colour::good;
    return state == "suspect" ? Colour::warning : Colour::bad;
}

std::string percent(const std::optional<double>& value) {
    return value ? std::to_string(std::lround(*value)) + "%" : "-";
}

std::string memory(const NodeView& node) {
    if (node.ram_bytes <= 0) return "-";
    const auto total = format_size(node.ram_bytes);
    if (!node.vitals.ram_available_bytes) return total;
    return format_size(node.ram_bytes - *node.vitals.ram_available_bytes) + "/" + total;
}

std::string temperature(const Vitals& vitals) {
    return vitals.temperature_c ? std::to_string(std::lround(*vitals.temperature_c)) + "C" : "-";
}

std::string disk(const Vitals& vitals) {
    if (!vitals.disk_bytes || !vitals.disk_free_bytes) return "-";
    return format_size(*vitals.disk_bytes - *vitals.disk_free_bytes) + "/" +
           format_size(*vitals.disk_bytes);
}

std::string seen(const NodeView& node) {
    return node.last_seen_seconds ? format_duration(*node.last_seen_seconds) : "-";
}

/// What else there is to say of a node, in words.
Table::Cell notes(const NodeView& node) {
    std::string text;
    const auto add = [&](const std::string& note) { text += (text.empty() ? "" : ", ") + note; };
    if (node.plain) add("plain");
    if (node.draining) add("draining");
    if (node.quarantined) add("quarantined");
    for (const auto& reason : node.unwell) add(reason);
    return {or_dash(text), node.unwell.empty() ? Colour::none : Colour::warning};
}

std::string labels(const NodeView& node) {
    std::string text;
    for (const auto& [key, value] : node.labels)
        text += (text.empty() ? "" : ",") + key + "=" + value;
    return or_dash(text);
}

void print_table(const std::vector<NodeView>& nodes, bool wide) {
    std::vector<std::string> header = {"NAME", "STATE",  "ROLE", "ARCH", "CORES",
                                       "CPU",  "MEMORY", "TEMP", "SEEN", "ADDRESS"};
    if (wide)
        for (const char* name : {"DISK", "MODEL", "OS", "KERNEL", "VERSION", "LABELS", "ID"})
            header.emplace_back(name);
    header.emplace_back("NOTES");
    Table table(header);
    for (const auto& node : nodes) {
        std::vector<Table::Cell> row = {{node.name},
                                        {node.state, node_colour(node.state)},
                                        {node.role},
                                        {or_dash(node.arch)},
                                        {std::to_string(node.cpu_cores)},
                                        {percent(node.vitals.cpu_percent)},
                                        {memory(node)},
                                        {temperature(node.vitals)},
                                        {seen(node)},
                                        {or_dash(node.address)}};
        if (wide)
            for (const auto& text : {disk(node.vitals), node.cpu, node.os, node.kernel,
                                     node.version, labels(node), node.id})
                row.push_back({or_dash(text)});
        row.push_back(notes(node));
        table.add(std::move(row));
    }
    table.print();
}

bool unwell(const NodeView& node) {
    return node.state != "online" || !node.unwell.empty();
}

}  // namespace

int verb_nodes(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    const bool only_unwell = arguments.take_toggle("--unwell");
    const auto name = arguments.take_optional_word();
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    auto nodes = client.ask_all(ListNodes{}, &NodeList::nodes);
    if (name) {
        std::erase_if(nodes, [&](const NodeView& n) { return n.name != *name && n.id != *name; });
        if (nodes.empty())
            throw RequestFailedError("not_found", "there is no node named " +
                                                      printable(*name, limits::name_chars) +
                                                      "; rpicluster nodes lists them");
    }
    if (only_unwell) std::erase_if(nodes, [](const NodeView& node) { return !unwell(node); });
    switch (invocation.format) {
        case Format::json: {
            json::object value;
            value["nodes"] = to_json(nodes);
            print_json(std::move(value));
            break;
        }
        case Format::jsonl:
            for (const auto& node : nodes) print_json_line(to_json(node));
            break;
        default:
            if (nodes.empty())
                std::fprintf(stderr, only_unwell
                                         ? "All nodes are well.\n"
                                         : "No nodes yet. On each board: rpicluster-slave --master "
                                           "HOST --key-file F, where F holds what \"rpicluster "
                                           "token\" prints.\n");
            else
                print_table(nodes, invocation.format == Format::wide);
    }
    return exit_code::ok;
}

int verb_remove(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    RemoveNode request;
    request.node = arguments.take_word("the name of the node");
    arguments.finish();
    if (request.node.size() > limits::text_chars)
        throw RequestFailedError("not_found", "there is no node with a name that long");
    Client client(find_credentials(invocation.settings));
    client.ask<Done>(request);
    if (invocation.machine_readable()) {
        json::object value;
        value["removed"] = request.node;
        print_json(std::move(value));
    } else {
        std::printf("%s is removed; its key is worth nothing now.\n", request.node.c_str());
    }
    return exit_code::ok;
}

int verb_status(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    const auto status = client.ask<Status>(GetStatus{});
    if (invocation.machine_readable()) {
        auto value = to_json(status).as_object();
        value.erase("id");
        print_json(std::move(value));
        return exit_code::ok;
    }
    const auto count = [&](const char* state) {
        const auto found = status.nodes.find(state);
        return found == status.nodes.end() ? 0 : found->second;
    };
    const auto online = count("online");
    const auto missing = count("suspect") + count("lost");
    const auto nodes_word = [](std::int64_t n) {
        return std::to_string(n) + (n == 1 ? " node" : " nodes");
    };
    std::string verdict;
    Colour colour = Colour::good;
    if (online + missing == 0) {
        verdict = "No nodes yet.";
        colour = Colour::warning;
    } else if (missing == 0 && status.nodes_unwell == 0) {
        verdict = "All well: " + nodes_word(online) + " online.";
    } else {
        verdict = nodes_word(online) + " online";
        if (count("suspect") > 0) verdict += ", " + std::to_string(count("suspect")) + " suspect";
        if (count("lost") > 0) verdict += ", " + std::to_string(count("lost")) + " lost";
        if (status.nodes_unwell > 0)
            verdict += ", " + std::to_string(status.nodes_unwell) + " unwell";
        verdict += ".";
        colour = count("lost") > 0 ? Colour::bad : Colour::warning;
    }
    std::printf("%s\n", coloured(verdict, colour).c_str());
    std::printf("Master %s, up %s, %s of memory, %s written to disk since its start.\n",
                status.master_version.c_str(), format_duration(status.uptime_seconds).c_str(),
                format_size(status.rss_bytes).c_str(), format_size(status.bytes_written).c_str());
    return exit_code::ok;
}

}  // namespace rpic

#include <cstdio>

#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/selector.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

/// The nodes that the words name: "pi[1-4]" or "all", which only the master knows.
std::vector<std::string> take_nodes(Arguments& arguments, Client& client) {
    std::vector<std::string> names;
    auto word = arguments.take_word("the name of the node");
    for (std::optional<std::string> next = word; next; next = arguments.take_optional_word()) {
        NodeSet nodes;
        try {
            nodes = NodeSet::parse(*next);
        } catch (const SyntaxError& error) {
            throw UsageError(error.what());
        }
        if (nodes.all)
            for (const auto& node : client.ask_all(ListNodes{}, &NodeList::nodes))
                names.push_back(node.name);
        names.insert(names.end(), nodes.names.begin(), nodes.names.end());
    }
    return names;
}

double take_deadline(Arguments& arguments) {
    const auto text = arguments.take_value("--deadline");
    if (!text) return 0;
    const auto duration = parse_duration(*text);
    if (!duration || *duration <= Duration::zero())
        throw UsageError("bad value \"" + printable(*text, limits::log_text_chars) +
                         "\" for --deadline: expected a duration such as 10m");
    return to_seconds(*duration);
}

void change_each(Client& client, const std::vector<std::string>& names, ChangeNode request) {
    for (const auto& name : names) {
        request.node = name;
        client.ask<Done>(request);
    }
}

int print_changed(const Invocation& invocation, const char* what,
                  const std::vector<std::string>& names, const std::string& one,
                  const std::string& many = {}) {
    if (invocation.machine_readable()) {
        json::object value;
        value[what] = to_json(names);
        print_json(std::move(value));
    } else {
        const auto& sentence = names.size() > 1 && !many.empty() ? many : one;
        std::printf("%s %s\n", fold_node_names(names).c_str(), sentence.c_str());
    }
    return exit_code::ok;
}

}  // namespace

int verb_drain(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    ChangeNode request;
    request.drain = true;
    request.deadline_seconds = take_deadline(arguments);
    if (arguments.empty()) arguments.take_word("the name of the node");
    Client client(find_credentials(invocation.settings));
    const auto names = take_nodes(arguments, client);
    arguments.finish();
    change_each(client, names, request);
    const auto rest =
        request.deadline_seconds > 0
            ? "what still runs in " + format_duration(request.deadline_seconds) + " is moved"
            : std::string("what runs there ends in peace");
    return print_changed(invocation, "drained", names, "gets no new work; " + rest + ".",
                         "get no new work; " + rest + ".");
}

int verb_undrain(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    if (arguments.empty()) arguments.take_word("the name of the node");
    ChangeNode request;
    request.drain = false;
    request.clear_quarantine = true;
    Client client(find_credentials(invocation.settings));
    const auto names = take_nodes(arguments, client);
    arguments.finish();
    change_each(client, names, request);
    return print_changed(invocation, "undrained", names, "gets work again.", "get work again.");
}

int verb_label(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    ChangeNode request;
    request.node = arguments.take_word("the name of the node");
    while (const auto word = arguments.take_optional_word()) {
        const auto equals = word->find('=');
        const auto key = word->substr(0, equals);
        const bool removes = equals != std::string::npos && equals + 1 == word->size();
        if (equals == std::string::npos || key.empty() || (!removes && node_name(key) != key))
            throw UsageError("bad label \"" + printable(*word, limits::log_text_chars) +
                             "\": expected KEY=VALUE, the key of letters, digits, '.', '_' and "
                             "'-', or KEY= to remove it");
        request.labels[key] = word->substr(equals + 1);
    }
    arguments.finish();
    if (request.labels.empty())
        throw UsageError("which label? expected KEY=VALUE, or KEY= to remove it");
    Client client(find_credentials(invocation.settings));
    client.ask<Done>(request);
    return print_changed(invocation, "labelled", {request.node}, "has its labels changed.");
}

int verb_node(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    ChangeNode request;
    request.power = arguments.take_word("what to do (reboot or poweroff)");
    if (request.power != "reboot" && request.power != "poweroff")
        throw UsageError("unknown \"node " + printable(request.power, limits::name_chars) +
                         "\": expected reboot or poweroff");
    request.deadline_seconds = take_deadline(arguments);
    request.node = arguments.take_word("the name of the node");
    arguments.finish();
    Client client(find_credentials(invocation.settings));
    client.ask<Done>(request);
    const std::string what = request.power == "reboot" ? "reboots" : "is switched off";
    return print_changed(invocation, request.power.c_str(), {request.node},
                         what +
                             " once nothing runs there any more, and gets no new work until "
                             "\"rpicluster undrain " +
                             request.node + "\".");
}

}  // namespace rpic

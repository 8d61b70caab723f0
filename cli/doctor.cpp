#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstdio>

#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/text.hpp"
#include "common/version.hpp"

namespace rpic {

namespace {

enum class Finding { ok, warning, problem };

/// Where keys are, in the state folder: in these folders themselves. What is below them or beside
/// them is of tasks, which name their files as they like.
constexpr const char* secret_folders[] = {"master", "client", "slave-basic", "slave-worker",
                                          "slave-webserver"};

bool is_secret(const std::filesystem::path& file) {
    const auto name = file.filename().string();
    return name.ends_with(".key") || name == "login" || name.starts_with("store.db");
}

/// The files of a folder that hold keys; none of one that is not there or closed to us.
std::vector<std::filesystem::path> secrets_in(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> secrets;
    std::error_code error;
    // Not by ++, which throws.
    for (std::filesystem::directory_iterator file(folder, error), end; !error && file != end;
         file.increment(error))
        if (is_secret(file->path())) secrets.push_back(file->path());
    return secrets;
}

/// Looks at one thing after the other and tells what it found.
class Doctor {
  public:
    explicit Doctor(const Invocation& invocation) : invocation_(invocation) {}

    int run() {
        const auto state = state_dir(invocation_.settings.text("state-dir"));
        check_secrets(state);
        check_disk(state);
        check_clock();
        check_descriptors();
        check_master();
        return report();
    }

  private:
    struct Result {
        Finding finding;
        std::string subject;
        std::string text;
    };

    void say(Finding finding, const std::string& subject, const std::string& text) {
        results_.push_back({finding, subject, text});
    }

    /// Keys that others may read are no secrets.
    void check_secrets(const std::filesystem::path& state) {
        std::error_code error;
        if (!std::filesystem::exists(state, error))
            return say(Finding::ok, "secrets", "none are kept in " + state.string());
        int looked = 0;
        std::string open;
        for (const auto* folder : secret_folders)
            for (const auto& file : secrets_in(state / folder)) {
                struct stat status {};
                if (::stat(file.c_str(), &status) != 0) continue;
                ++looked;
                if ((status.st_mode & 077) != 0) open = file.string();
            }
        if (open.empty())
            say(Finding::ok, "secrets",
                std::to_string(looked) + " files, all for their owner alone");
        else
            say(Finding::problem, "secrets",
                "others may read " + open +
                    ": run chmod 600 on it, and "
                    "renew its key if this machine has other users");
    }

    void check_disk(const std::filesystem::path& state) {
        struct statvfs volume {};
        auto folder = state;
        while (::statvfs(folder.c_str(), &volume) != 0 && folder.has_relative_path())
            folder = folder.parent_path();
        const auto free =
            static_cast<std::int64_t>(volume.f_bavail) * static_cast<std::int64_t>(volume.f_frsize);
        constexpr std::int64_t least = 64LL * 1024 * 1024;
        const auto text = format_size(free) + " free for " + state.string();
        if (free < least)
            say(Finding::problem, "disk", "only " + text + ": make room");
        else
            say(Finding::ok, "disk", text);
    }

    void check_clock() {
        constexpr std::int64_t year_2024 = 1'704'067'200;
        if (wall_seconds() < year_2024)
            say(Finding::warning, "clock",
                "it says " + rfc3339(wall_seconds()) +
                    ": times in logs are wrong, the cluster works");
        else
            say(Finding::ok, "clock", rfc3339(wall_seconds()));
    }

    void check_descriptors() {
        rlimit files{};
        ::getrlimit(RLIMIT_NOFILE, &files);
        const auto text = std::to_string(files.rlim_max) + " files may be open at once";
        if (files.rlim_max < 1024)
            say(Finding::warning, "limits", text + ": a master serves fewer nodes than that");
        else
            say(Finding::ok, "limits", text);
    }

    void check_master() {
        try {
            const auto credentials = find_credentials(invocation_.settings);
            const auto address = format_host_port(credentials.master.host, credentials.master.port);
            say(Finding::ok, "key", "found in " + credentials.key_origin);
            Client client(credentials);
            const auto& theirs = client.welcome().version;
            if (theirs == version)
                say(Finding::ok, "master", address + " answers and accepts the key");
            else
                say(Finding::warning, "master",
                    address + " has version " + theirs + ", this is " + version +
                        ": bring both to the same");
            check_nodes(client);
        } catch (const KeyRefusedError& error) {
            say(Finding::problem, "master",
                std::string("it refuses the key: ") + error.what() +
                    "; get a token and run \"rpicluster login HOST\"");
        } catch (const std::exception& error) {
            say(Finding::problem, "master", error.what());
        }
    }

    void check_nodes(Client& client) {
        const auto nodes = client.ask_all(ListNodes{}, &NodeList::nodes);
        if (nodes.empty())
            return say(Finding::warning, "nodes",
                       "there are none yet: start rpicluster-slave on a board");
        std::size_t well = 0;
        for (const auto& node : nodes) {
            if (node.state != "online")
                say(node.state == "lost" ? Finding::problem : Finding::warning, "nodes",
                    node.name + " is " + node.state + ": look at its power, its cable and its log" +
                        (node.state == "lost"
                             ? "; if it is gone for good: rpicluster remove " + node.name
                             : ""));
            for (const auto& reason : node.unwell)
                say(Finding::warning, "nodes", node.name + " is unwell: " + reason);
            if (node.state == "online" && node.unwell.empty()) ++well;
        }
        say(well == nodes.size() ? Finding::ok : Finding::warning, "nodes",
            std::to_string(well) + " of " + std::to_string(nodes.size()) + " online and well");
    }

    int report() const {
        int problems = 0;
        json::array findings;
        for (const auto& result : results_) {
            const char* word = result.finding == Finding::ok        ? "ok"
                               : result.finding == Finding::warning ? "warning"
                                                                    : "problem";
            const Colour colour = result.finding == Finding::ok        ? Colour::good
                                  : result.finding == Finding::warning ? Colour::warning
                                                                       : Colour::bad;
            if (result.finding == Finding::problem) ++problems;
            if (invocation_.machine_readable())
                findings.push_back(
                    {{"finding", word}, {"subject", result.subject}, {"text", result.text}});
            else
                std::printf("%s%s %-8s %s\n", coloured(word, colour).c_str(),
                            std::string(8 - std::string(word).size(), ' ').c_str(),
                            result.subject.c_str(), result.text.c_str());
        }
        if (invocation_.machine_readable()) {
            json::object value;
            value["problems"] = problems;
            value["findings"] = std::move(findings);
            print_json(std::move(value));
        }
        return problems == 0 ? exit_code::ok : exit_code::failed;
    }

    const Invocation& invocation_;
    std::vector<Result> results_;
};

}  // namespace

int verb_doctor(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    arguments.finish();
    return Doctor(invocation).run();
}

}  // namespace rpic

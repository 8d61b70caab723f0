#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/demo_report.hpp"
#include "cli/gather.hpp"
#include "cli/run_program.hpp"
#include "cli/stay.hpp"
#include "cli/submit.hpp"
#include "cli/verbs.hpp"
#include "common/errors.hpp"
#include "common/machine/machine.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

namespace fs = std::filesystem;

constexpr const char* renderer = "rpicluster-render";
constexpr int width = 960, height = 640;  // pixels
constexpr std::size_t tiles_checked = 3;
constexpr std::int64_t retries = 3;

struct DemoOptions {
    std::int64_t tiles = 24;
    std::int64_t samples = 48;  // rays through each pixel: the work grows with them
    std::string picture = "rpicluster-demo.png";
};

/// A folder for the tiles, which goes with everything in it.
class TileFolder {
  public:
    TileFolder() {
        auto name = (fs::temp_directory_path() / "rpicluster-tiles.XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr)
            throw ConfigError("cannot make the folder " + name + ": " + std::strerror(errno));
        path_ = name;
    }
    ~TileFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TileFolder(const TileFolder&) = delete;
    TileFolder& operator=(const TileFolder&) = delete;

    const fs::path& path() const { return path_; }
    std::string tile(std::int64_t index) const {
        return path_ / ("tile-" + std::to_string(index) + ".ppm");
    }

  private:
    fs::path path_;
};

std::int64_t take_number(Arguments& arguments, const char* flag, std::int64_t preset,
                         std::int64_t most) {
    const auto text = arguments.take_value(flag);
    if (!text) return preset;
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc{} || end != text->data() + text->size() || value < 1 || value > most)
        throw UsageError(std::string(flag) + " takes a number from 1 to " + std::to_string(most));
    return value;
}

DemoOptions take_options(const Invocation& invocation) {
    Arguments arguments(invocation.arguments);
    DemoOptions options;
    options.tiles = take_number(arguments, "--tiles", options.tiles, 1000);
    options.samples = take_number(arguments, "--samples", options.samples, 10'000);
    options.picture = arguments.take_value("--picture").value_or(options.picture);
    arguments.finish();
    return options;
}

/// The program that travels, by architecture: beside this one, or in the folder of shared files.
/// One of another architecture has its name at the end.
std::map<std::string, std::string> find_programs(const std::string& own_arch) {
    std::error_code error;
    const auto folder = fs::read_symlink("/proc/self/exe", error).parent_path();
    std::map<std::string, std::string> programs;
    for (const auto& place : {folder, folder.parent_path() / "share" / "rpicluster"}) {
        if (fs::exists(place / renderer, error)) programs.emplace(own_arch, place / renderer);
        for (const auto* arch : {"amd64", "arm64", "armhf", "armel", "i386"}) {
            const auto path = place / (std::string(renderer) + "-" + arch);
            if (fs::exists(path, error)) programs.emplace(arch, path);
        }
    }
    return programs;
}

std::string bytes_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

JobOptions demo_job(const DemoOptions& options, const DemoNodes& nodes,
                    const std::map<std::string, std::string>& programs) {
    JobOptions job;
    job.spec.name = "demo";
    // The program's name ends with its architecture where that is not the one of this machine.
    job.spec.command = {"sh", "-c",
                        "./" + std::string(renderer) + "* $RPIC_TASK " +
                            std::to_string(options.tiles) + ' ' + std::to_string(width) + ' ' +
                            std::to_string(height) + ' ' + std::to_string(options.samples) +
                            " tile-$RPIC_TASK.ppm"};
    job.spec.array = "0-" + std::to_string(options.tiles - 1);
    job.spec.out = {"tile-*.ppm"};
    job.spec.retries = retries;
    job.spec.where = demo_where(nodes.architectures);
    for (const auto& arch : nodes.architectures) job.in_arch[arch] = programs.at(arch);
    return job;
}

struct DemoResult {
    std::string job;
    std::vector<DemoShare> shares;
    double seconds = 0;  // from the submit to the last tile
    bool complete = false;
    std::size_t checked = 0;
    bool correct = true;
};

/// Computes one tile of some nodes here: they must have the same bytes.
void check_tiles(DemoResult& result, const DemoOptions& options, const std::string& program,
                 const TileFolder& folder) {
    const auto own = (folder.path() / "own.ppm").string();
    for (const auto& share : result.shares) {
        if (result.checked == tiles_checked) return;
        ++result.checked;
        const int code = run_program(
            {program, std::to_string(share.one_tile), std::to_string(options.tiles),
             std::to_string(width), std::to_string(height), std::to_string(options.samples), own});
        if (code == 0 && bytes_of(own) == bytes_of(folder.tile(share.one_tile))) continue;
        result.correct = false;
        Console().say("tile " + std::to_string(share.one_tile) + " of " + share.node +
                      " is not what this machine computes");
    }
}

void print_result(const DemoResult& result, const DemoOptions& options) {
    double work = 0;
    Table table({"NODE", "TILES", "SECONDS"});
    for (const auto& share : result.shares) {
        table.add({{share.node}, {std::to_string(share.tiles)}, {format_duration(share.seconds)}});
        work += share.seconds;
    }
    table.print();
    std::printf("%s of work done in %s\n", format_duration(work).c_str(),
                format_duration(result.seconds).c_str());
    std::printf("the picture is %s: %s\n", result.complete ? "complete" : "NOT complete",
                options.picture.c_str());
    std::printf("%zu tiles computed here again are %s\n", result.checked,
                result.correct ? "the same" : "NOT the same");
}

void print_result_json(const DemoResult& result, const DemoOptions& options) {
    json::array nodes;
    for (const auto& share : result.shares)
        nodes.push_back({{"name", share.node}, {"tiles", share.tiles}, {"seconds", share.seconds}});
    json::object value;
    value["job"] = result.job;
    value["picture"] = options.picture;
    value["complete"] = result.complete;
    value["correct"] = result.correct;
    value["seconds"] = result.seconds;
    value["nodes"] = std::move(nodes);
    print_json(std::move(value));
}

std::vector<TaskView> all_tasks(Client& client, const std::string& job) {
    GetJob request;
    request.job = job;
    return across_restarts(client, [&] { return get_job(client, request); }).tasks;
}

}  // namespace

int verb_demo(const Invocation& invocation) {
    const auto options = take_options(invocation);
    const Console console;
    const auto own_arch = Machine().facts().arch;
    const auto programs = find_programs(own_arch);
    const auto own = programs.find(own_arch);
    if (own == programs.end())
        throw ConfigError(std::string("the program ") + renderer +
                          " is not beside rpicluster: install the whole package, or build the "
                          "target of that name");
    Client client(find_credentials(invocation.settings));
    const auto nodes = demo_nodes(client.ask_all(ListNodes{}, &NodeList::nodes), programs);
    if (!nodes.left_out.empty())
        console.say(std::string("there is no ") + renderer + " for " + nodes.left_out +
                    ": these nodes stay out");
    if (nodes.count == 0)
        throw ConfigError("no node is there to work: \"rpicluster nodes\" shows who is online");

    const TileFolder folder;
    const auto began = Clock::now();
    const auto job = submit_job(client, demo_job(options, nodes, programs)).job;
    console.say("job " + job.id + ": a picture in " + std::to_string(options.tiles) +
                " tiles, on " + std::to_string(nodes.count) + " nodes");
    console.say("pull a plug now, if you like: the job goes on");
    return stay_with(client, job.id, console, [&] {
        GatherOptions gather;
        gather.folder = folder.path();
        const auto gathered = Gatherer(client, job.id, console, gather).run();
        const auto summary = failure_summary(gathered);
        if (!summary.empty()) console.say(summary);
        DemoResult result;
        result.job = job.id;
        result.seconds = to_seconds(Clock::now() - began);
        result.shares = demo_shares(all_tasks(client, job.id));
        check_tiles(result, options, own->second, folder);
        result.complete = run_program({own->second, "--join", std::to_string(options.tiles),
                                       std::to_string(width), std::to_string(height), folder.path(),
                                       options.picture}) == 0;
        if (invocation.machine_readable())
            print_result_json(result, options);
        else
            print_result(result, options);
        return result.complete && result.correct ? exit_code::ok : exit_code::failed;
    });
}

}  // namespace rpic

#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

namespace rpic::test {

/// The /proc and /sys of another machine, written into a temporary directory.
class RecordedMachine {
  public:
    RecordedMachine() {
        auto pattern = (std::filesystem::temp_directory_path() / "rpic-machine-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp: " + pattern);
        root_ = pattern;
    }
    RecordedMachine(const RecordedMachine&) = delete;
    RecordedMachine& operator=(const RecordedMachine&) = delete;
    ~RecordedMachine() {
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }

    const std::filesystem::path& root() const { return root_; }

    RecordedMachine& file(const std::string& path, std::string_view text) {
        std::filesystem::create_directories((root_ / path).parent_path());
        std::ofstream(root_ / path, std::ios::binary) << text;
        return *this;
    }

    RecordedMachine& directory(const std::string& path) {
        std::filesystem::create_directories(root_ / path);
        return *this;
    }

    /// /proc/stat with one idle column each for the machine and its CPUs; the counts are ticks.
    RecordedMachine& cpu_ticks(std::initializer_list<std::pair<long, long>> busy_and_idle) {
        long busy = 0;
        long idle = 0;
        std::string lines;
        int number = 0;
        for (const auto& [cpu_busy, cpu_idle] : busy_and_idle) {
            lines += "cpu" + std::to_string(number++) + ticks(cpu_busy, cpu_idle);
            busy += cpu_busy;
            idle += cpu_idle;
        }
        return file("proc/stat", "cpu " + ticks(busy, idle) + lines + "intr 12 0 0\nctxt 99\n");
    }

    RecordedMachine& memory(long total_kib, long available_kib) {
        return file("proc/meminfo", "MemTotal:       " + std::to_string(total_kib) +
                                        " kB\nMemFree:          100 kB\nMemAvailable:   " +
                                        std::to_string(available_kib) + " kB\n");
    }

    RecordedMachine& network(const std::string& name, const std::string& address,
                             const std::string& assigned = "0", const std::string& type = "1") {
        const auto directory = "sys/class/net/" + name;
        return file(directory + "/address", address + "\n")
            .file(directory + "/addr_assign_type", assigned + "\n")
            .file(directory + "/type", type + "\n");
    }

  private:
    static std::string ticks(long busy, long idle) {
        return " " + std::to_string(busy) + " 0 0 " + std::to_string(idle) + " 0 0 0 0 0 0\n";
    }

    std::filesystem::path root_;
};

}  // namespace rpic::test

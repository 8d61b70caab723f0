#pragma once

#include <stdlib.h>

#include <filesystem>

namespace rpic::test {

/// A folder that goes with its owner.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        char name[] = "/tmp/rpicluster-test-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

  private:
    std::filesystem::path path_;
};

}  // namespace rpic::test

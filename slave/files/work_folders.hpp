#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/beneath.hpp"
#include "common/file_thread.hpp"

namespace rpic {

/// The private folders of attempts, all in one folder: made and removed many at a time, since each
/// turn of the file thread costs more than a folder does.
///
/// A folder that a task has left empty and as it was may be kept for a later task, which gets it
/// under its own name: a new name costs a file system much less than a new folder, in time (a tenth
/// on ext4) and in what is written to the disk.
class WorkFolders {
  public:
    /// `owner` is the tasks' user; the folder `parent` is there.
    WorkFolders(FileThread& files, std::string parent, Owner owner);

    std::string path_of(const std::string& name) const;

    /// Makes an empty folder of mode 0700 for each name; one that is there already is removed
    /// first. Gives for each the reason why it is not there, or an empty text.
    asio::awaitable<std::vector<std::string>> make(std::vector<std::string> names);

    /// Removes folders with all that is in them; `keep`: some may be kept for make(). Gives in
    /// words what could not be removed.
    asio::awaitable<std::vector<std::string>> remove(std::vector<std::string> names, bool keep);

    /// Whether any is kept, and the end of those.
    bool keeps_any() const { return kept_ > 0; }
    asio::awaitable<void> drop_kept();

  private:
    struct Place;

    FileThread& files_;
    std::shared_ptr<Place> place_;  // used on the file thread alone
    std::size_t kept_ = 0;          // as of the last answer of the file thread
};

}  // namespace rpic

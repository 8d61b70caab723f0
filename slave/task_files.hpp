#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "slave/files/work_folder.hpp"
#include "slave/files/work_folders.hpp"
#include "slave/options.hpp"

namespace rpic {

/// The files of this node's attempts: their work folders, what is put into them and what is brought
/// home from them.
class TaskFiles {
  public:
    TaskFiles(const asio::any_io_executor& executor, const SlaveOptions& options);

    BulkLink& bulk() { return bulk_; }
    std::string folder_of(const AttemptKey& key) const;
    /// Where the standard input of a prepared attempt lies; empty: it has none.
    std::string stdin_of(const AttemptKey& key) const;

    /// Makes the work folders. For each in words why it is not there, or an empty text: whatever
    /// the disk says about a new and empty folder is about this node.
    asio::awaitable<std::vector<std::string>> make_folders(std::vector<AttemptKey> keys);
    /// Fills the folder. Throws FileError; outcome_of() says whose fault that is.
    asio::awaitable<void> place_inputs(AttemptKey key, std::shared_ptr<const NodeJob> job,
                                       Wanted wanted);
    /// The input of this attempt need not be kept any longer.
    void let_inputs_go(const AttemptKey& key) { inputs_.erase(key); }

    /// Brings an output file to the master; gives the blob. Waits while the master is away, or its
    /// disk is full or broken. Empty if that cannot be done, and why in `trouble`. `bytes` were
    /// written to it: another size is told as trouble.
    asio::awaitable<std::string> bring_output(AttemptKey key, std::string file, std::int64_t bytes,
                                              Wanted wanted, std::string& trouble);
    /// The same for the files that match the job's globs; gives the manifest.
    asio::awaitable<std::string> bring_files(AttemptKey key, std::shared_ptr<const NodeJob> job,
                                             Wanted wanted, std::string& trouble);

    /// Removes work folders. `more_to_come`: some may be kept for later tasks, until drop_kept().
    asio::awaitable<void> remove(std::vector<std::string> names, bool more_to_come);
    bool keeps_folders() const { return folders_.keeps_any(); }
    asio::awaitable<void> drop_kept() { return folders_.drop_kept(); }

    /// Names of work folders that were there when the slave started.
    const std::vector<std::string>& left() const { return left_; }

  private:
    void make_room_for_tasks();
    /// Sends something to the master, and gives its blob.
    using Bring = std::function<asio::awaitable<std::string>()>;
    /// Tries until it is there. Nothing: it cannot be done, for that reason.
    asio::awaitable<std::optional<std::string>> until_brought(AttemptKey key, Bring bring,
                                                              Wanted wanted, std::string& reason);
    asio::awaitable<std::string> send_output(std::string file, std::int64_t bytes, Wanted wanted,
                                             std::string& trouble);
    asio::awaitable<std::string> send_files(AttemptKey key, std::shared_ptr<const NodeJob> job,
                                            Wanted wanted, std::string& trouble);

    const SlaveOptions& options_;
    FileThread files_;
    BulkLink bulk_;
    FileCache cache_;
    WorkFolders folders_;
    std::vector<std::string> left_;
    struct Input {
        std::shared_ptr<FileCache::Pins> pins;  // of the cache, where the file is read from
        std::string stdin_file;
    };
    std::map<AttemptKey, Input> inputs_;
};

/// The outcome of an attempt whose files could not be brought: `node` if another node may do
/// better, `cannot_execute` if none can.
std::string outcome_of(const FileError& error);

}  // namespace rpic

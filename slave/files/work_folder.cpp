#include "slave/files/work_folder.hpp"

#include "common/file_io.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

/// Calls `step` of something shared until it is done; others have the file thread in between.
template <class Steps>
asio::awaitable<void> take_steps(FileThread& files, std::shared_ptr<Steps> steps, Wanted wanted) {
    for (bool done = false; !done;) {
        check_wanted(wanted);
        auto step = [steps] { return steps->step(); };
        done = co_await files.run(std::move(step));
    }
}

class Hashing {
  public:
    Hashing(std::shared_ptr<Descriptor> file, std::string name)
        : file_(std::move(file)), name_(std::move(name)) {}

    bool step() {
        for (std::size_t done = 0; done < limits::file_step_bytes; done += file_read_bytes) {
            const auto bytes = read_at(*file_, result.size, file_read_bytes, name_);
            hash_.update(bytes);
            result.size += static_cast<std::int64_t>(bytes.size());
            if (bytes.size() == file_read_bytes) continue;
            result.blob = hash_.finish();
            return true;
        }
        return false;
    }

    HashedFile result;

  private:
    std::shared_ptr<Descriptor> file_;
    std::string name_;
    Sha256 hash_;
};

/// Opens a file of the task in its folder.
asio::awaitable<std::shared_ptr<Descriptor>> open_output(FileThread& files,
                                                         std::filesystem::path folder,
                                                         std::string path, std::int64_t uid) {
    auto open = [folder, path, uid] {
        const auto top = open_folder(folder);
        return std::make_shared<Descriptor>(open_beneath(top, path, uid));
    };
    auto file = co_await files.run(std::move(open));
    co_return file;
}

asio::awaitable<void> place_manifest(FileThread& files, FileCache& cache,
                                     std::filesystem::path folder, std::string manifest,
                                     Owner owner, Wanted wanted) {
    const std::vector<std::string> itself(1, manifest);
    const auto list_pin = co_await cache.hold(itself, wanted);
    auto& blobs = cache.blobs();
    auto read = [&blobs, manifest] {
        return parse_manifest(blobs.read(manifest, limits::manifest_bytes));
    };
    auto list = co_await files.run(std::move(read));
    auto contents = list.blobs();
    const auto pins = co_await cache.hold(std::move(contents), wanted);
    auto begin = [&blobs, folder, owner, entries = std::move(list)] {
        auto source = [&blobs](const ManifestEntry& file) {
            Placing::Contents from;
            from.file = blobs.open(file.blob);
            return from;
        };
        return std::make_shared<Placing>(open_folder(folder), entries, source, owner);
    };
    auto placing = co_await files.run(std::move(begin));
    co_await take_steps(files, std::move(placing), wanted);
}

}  // namespace

asio::awaitable<void> remove_folder(FileThread& files, std::filesystem::path folder) {
    auto removing = std::make_shared<Removing>(folder);
    const Wanted always;
    co_await take_steps(files, std::move(removing), always);
}

asio::awaitable<void> place_inputs(FileThread& files, FileCache& cache,
                                   std::filesystem::path folder, std::vector<std::string> manifests,
                                   Owner owner, Wanted wanted) {
    for (const auto& manifest : manifests)
        co_await place_manifest(files, cache, folder, manifest, owner, wanted);
}

asio::awaitable<HashedFile> hash_file(FileThread& files, std::shared_ptr<Descriptor> file,
                                      std::string name, Wanted wanted) {
    auto hashing = std::make_shared<Hashing>(std::move(file), std::move(name));
    co_await take_steps(files, hashing, wanted);
    co_return hashing->result;
}

/// Which blob a file of the task is. Empty: it cannot be read; `trouble` says why.
asio::awaitable<HashedFile> hash_output(FileThread& files, std::filesystem::path folder,
                                        std::string path, std::int64_t uid, Wanted wanted,
                                        std::string& trouble) {
    HashedFile hashed;
    try {
        auto file = co_await open_output(files, folder, path, uid);
        hashed = co_await hash_file(files, std::move(file), path, wanted);
    } catch (const FileError& error) {
        trouble = error.what();
    }
    check_wanted(wanted);
    co_return hashed;
}

/// Finds out which blobs they are. One that cannot be read does not keep the others here.
asio::awaitable<void> hash_outputs(FileThread& files, std::filesystem::path folder,
                                   std::int64_t uid, Wanted wanted, Found& found) {
    std::vector<ManifestEntry> readable;
    for (auto& entry : found.manifest.entries) {
        const bool is_file = !entry.folder && entry.link.empty();
        std::string trouble;
        if (is_file) {
            auto hashed = co_await hash_output(files, folder, entry.path, uid, wanted, trouble);
            entry.blob = std::move(hashed.blob);
            entry.size = hashed.size;
        }
        if (trouble.empty())
            readable.push_back(std::move(entry));
        else
            found.leave_out(std::move(trouble));
    }
    found.manifest.entries = std::move(readable);
}

asio::awaitable<Collected> collect_outputs(FileThread& files, BulkLink& bulk,
                                           std::filesystem::path folder,
                                           std::vector<std::string> globs, Owner owner,
                                           Wanted wanted) {
    Collected result;
    auto find = [folder, globs, uid = owner.uid] {
        return find_matching(open_folder(folder), Globs(globs), uid);
    };
    auto found = co_await files.run(std::move(find));
    co_await hash_outputs(files, folder, owner.uid, wanted, found);
    result.left_out = std::move(found.left_out);
    if (found.manifest.entries.empty()) co_return result;
    for (const auto& entry : found.manifest.entries) {
        if (!entry.is_file()) continue;
        ++result.files;
        result.bytes += entry.size;
    }
    auto names = found.manifest.blobs();
    const auto missing = co_await bulk.missing(std::move(names), wanted);
    std::set<std::string> to_send(missing.begin(), missing.end());
    for (const auto& entry : found.manifest.entries) {
        if (to_send.erase(entry.blob) == 0) continue;
        auto file = co_await open_output(files, folder, entry.path, owner.uid);
        co_await bulk.put(std::move(file), entry.blob, entry.size, wanted);
    }
    auto format = [manifest = std::move(found.manifest)] { return format_manifest(manifest); };
    auto text = co_await files.run(std::move(format));
    result.manifest = sha256_hex(text);
    co_await bulk.put_bytes(std::move(text), result.manifest, wanted);
    co_return result;
}

}  // namespace rpic

#include "slave/files/work_folder.hpp"

#include "common/file_io.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

/// Calls `step` of something shared until it is done; others have the file thread in between.
template <class Steps>
asio::awaitable<void> take_steps(FileThread& files, std::shared_ptr<Steps> steps) {
    for (bool done = false; !done;) {
        auto step = [steps] { return steps->step(); };
        done = co_await files.run(std::move(step));
    }
}

/// Finds out which blob a file is, without copying it.
class Hashing {
  public:
    explicit Hashing(std::shared_ptr<Descriptor> file) : file_(std::move(file)) {}

    bool step() {
        for (std::size_t done = 0; done < limits::file_step_bytes; done += file_read_bytes) {
            const auto bytes = read_at(*file_, size, file_read_bytes, "a file that matches --out");
            hash_.update(bytes);
            size += static_cast<std::int64_t>(bytes.size());
            if (bytes.size() == file_read_bytes) continue;
            blob = hash_.finish();
            return true;
        }
        return false;
    }

    std::string blob;
    std::int64_t size = 0;

  private:
    std::shared_ptr<Descriptor> file_;
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
                                     Owner owner) {
    const std::vector<std::string> itself(1, manifest);
    const auto list_pin = co_await cache.hold(itself);
    auto& blobs = cache.blobs();
    auto read = [&blobs, manifest] {
        return parse_manifest(blobs.read(manifest, limits::manifest_bytes));
    };
    auto list = co_await files.run(std::move(read));
    auto contents = list.blobs();
    const auto pins = co_await cache.hold(std::move(contents));
    auto begin = [&blobs, folder, owner, entries = std::move(list)] {
        auto source = [&blobs](const ManifestEntry& file) {
            Placing::Contents from;
            from.file = blobs.open(file.blob);
            return from;
        };
        return std::make_shared<Placing>(open_folder(folder), entries, source, owner);
    };
    auto placing = co_await files.run(std::move(begin));
    co_await take_steps(files, std::move(placing));
}

}  // namespace

asio::awaitable<void> remove_folder(FileThread& files, std::filesystem::path folder) {
    auto removing = std::make_shared<Removing>(folder);
    co_await take_steps(files, std::move(removing));
}

asio::awaitable<void> place_inputs(FileThread& files, FileCache& cache,
                                   std::filesystem::path folder, std::vector<std::string> manifests,
                                   Owner owner) {
    for (const auto& manifest : manifests)
        co_await place_manifest(files, cache, folder, manifest, owner);
}

asio::awaitable<Collected> collect_outputs(FileThread& files, BulkLink& bulk,
                                           std::filesystem::path folder,
                                           std::vector<std::string> globs, Owner owner) {
    Collected result;
    auto find = [folder, globs, uid = owner.uid] {
        return find_matching(open_folder(folder), Globs(globs), uid);
    };
    auto found = co_await files.run(std::move(find));
    result.left_out = std::move(found.left_out);
    if (found.manifest.entries.empty()) co_return result;
    for (auto& entry : found.manifest.entries) {
        if (entry.folder || !entry.link.empty()) continue;
        auto file = co_await open_output(files, folder, entry.path, owner.uid);
        auto hashing = std::make_shared<Hashing>(std::move(file));
        co_await take_steps(files, hashing);
        entry.blob = hashing->blob;
        entry.size = hashing->size;
        ++result.files;
        result.bytes += entry.size;
    }
    auto names = found.manifest.blobs();
    const auto missing = co_await bulk.missing(std::move(names));
    std::set<std::string> to_send(missing.begin(), missing.end());
    for (const auto& entry : found.manifest.entries) {
        if (to_send.erase(entry.blob) == 0) continue;
        auto file = co_await open_output(files, folder, entry.path, owner.uid);
        co_await bulk.put(std::move(file), entry.blob, entry.size);
    }
    auto format = [manifest = std::move(found.manifest)] { return format_manifest(manifest); };
    auto text = co_await files.run(std::move(format));
    result.manifest = sha256_hex(text);
    co_await bulk.put_bytes(std::move(text), result.manifest);
    co_return result;
}

}  // namespace rpic

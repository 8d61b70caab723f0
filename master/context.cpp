#include "master/context.hpp"

#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/self_stats.hpp"
#include "common/version.hpp"

namespace rpic {

Context::Context(const asio::any_io_executor& executor, const MasterOptions& chosen)
    : options(chosen),
      blobs(options.folder / "blobs", limits::free_disk_bytes),
      backups(options.folder / "backup"),
      files(executor),
      store(executor, options.folder / "store.db",
            [this](const std::string& blob) { return blobs.path_of(blob); }),
      contents(store.load()),
      cluster({limits::suspect_after, limits::lost_after, limits::lost_after_master_start}, started,
              options.health),
      jobs(cluster, {started, contents.epoch, contents.next_job, limits::lost_after_master_start}),
      events(executor, moment().wall_ms),
      job_news(executor),
      job_changes(executor),
      turns(*this, executor),
      bulk(executor),
      lobby(executor, counters),
      tls([this](std::string_view identity) -> std::optional<Psk> {
          const auto* record = keyring.find(identity, wall_seconds());
          if (record == nullptr) return std::nullopt;
          return key_psk(record->key);
      }) {
    remove_old_backup();
    store.record(load());
}

Moment Context::moment() const {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    return Moment{Clock::now(),
                  std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()};
}

/// Its client has gone with the master that made it.
void Context::remove_old_backup() {
    std::error_code ignored;
    for (const auto* suffix : {"", ".partial", ".copy", ".copy-journal"}) {
        auto file = backup_file();
        file += suffix;
        std::filesystem::remove(file, ignored);
    }
    std::filesystem::remove_all(options.folder / "backup", ignored);
}

asio::awaitable<void> Context::drop_backup() {
    backup_blob.clear();
    auto drop = [this] {
        std::error_code ignored;
        std::filesystem::remove(backup_file(), ignored);
        for (const auto& info : backups.list()) backups.remove(info.blob);
    };
    co_await files.run(std::move(drop));
}

/// Fills keyring, cluster and jobs from the store; on the first start makes the keys that every
/// cluster has.
StoreBatch Context::load() {
    cluster_id = contents.cluster;
    epoch = contents.epoch;
    for (auto& record : contents.keys) keyring.add(std::move(record));
    Effects effects;
    take_up(contents, cluster, jobs, moment(), effects);
    contents = {};
    turns.add(std::move(effects));
    StoreBatch batch;
    if (keyring.join_key() == nullptr) add_key(*this, "join", "", "", batch);
    if (keyring.own_admin_key() == nullptr) add_key(*this, "admin", "", "", batch);
    const auto keep_file = [&](const std::filesystem::path& path, const std::string& key) {
        if (read_file_if_there(path, limits::key_file_bytes) != key + "\n")
            batch.emplace_back(PutSecretFile{path, key + "\n"});
    };
    keep_file(join_key_file(), keyring.join_key()->key);
    keep_file(admin_key_file(), keyring.own_admin_key()->key);
    return batch;
}

KeyRecord add_key(Context& context, std::string_view role, std::string_view name,
                  std::string_view node_id, StoreBatch& batch) {
    KeyRecord record;
    record.key = make_key();
    record.identity = key_identity(record.key);
    record.role = role;
    record.name = name;
    record.node_id = node_id;
    record.created_at = wall_seconds();
    context.keyring.add(record);
    batch.emplace_back(PutKey{record});
    return record;
}

NodeView node_view(const Context& context, const Node& node, Instant now) {
    auto view = view_of(node, now);
    const auto* worker = context.jobs.worker(node.record.id);
    if (worker == nullptr || worker->node == nullptr) return view;
    view.running_tasks = worker->running();
    view.waiting_tasks = static_cast<std::int64_t>(worker->ahead.size());
    view.free_cpus = static_cast<double>(worker->free_milli()) / 1000;
    view.free_memory_bytes = node.record.memory_bytes - worker->used.memory_bytes;
    if (worker->measured > 0) view.speed = worker->speed;
    return view;
}

MasterView master_view(Context& context) {
    MasterView view;
    view.machine = context.machine.facts();
    view.vitals = context.vitals;
    view.version = version;
    view.uptime_seconds = to_seconds(Clock::now() - context.started);
    view.rss_bytes = own_rss_bytes();
    view.nodes = context.cluster.count_by_state();
    return view;
}

}  // namespace rpic

#include "master/context.hpp"

#include "common/keys.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/self_stats.hpp"
#include "common/version.hpp"

namespace rpic {

Context::Context(const asio::any_io_executor& executor, const MasterOptions& chosen)
    : options(chosen),
      store(executor, options.folder / "store.db"),
      blobs(options.folder / "blobs", limits::free_disk_bytes),
      files(executor),
      bulk(executor),
      cluster({limits::suspect_after, limits::lost_after, limits::lost_after_master_start},
              started),
      lobby(executor, counters),
      tls([this](std::string_view identity) -> std::optional<Psk> {
          const auto* record = keyring.find(identity, wall_seconds());
          if (record == nullptr) return std::nullopt;
          return key_psk(record->key);
      }) {
    store.record(load());
}

/// Fills keyring and cluster from the store; on the first start makes the keys that every cluster
/// has.
StoreBatch Context::load() {
    auto contents = store.load();
    cluster_id = contents.cluster;
    for (auto& record : contents.keys) keyring.add(std::move(record));
    for (auto& record : contents.nodes) cluster.restore(std::move(record));
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

StoreBatch apply_effects(Context& context, const Effects& effects) {
    StoreBatch batch;
    for (const auto& effect : effects) {
        if (const auto* save = std::get_if<SaveNode>(&effect)) {
            batch.emplace_back(PutNode{save->record});
        } else if (const auto* gone = std::get_if<ForgetNode>(&effect)) {
            context.keyring.drop(gone->key_identity);
            context.sessions.end_clients_of(gone->key_identity, 0, "the node was removed");
            batch.emplace_back(DropKey{gone->key_identity});
            batch.emplace_back(DropNode{gone->id});
        } else if (const auto* key = std::get_if<ForgetKey>(&effect)) {
            context.keyring.drop(key->key_identity);
            batch.emplace_back(DropKey{key->key_identity});
        } else if (const auto* close = std::get_if<CloseSession>(&effect)) {
            context.sessions.end(close->session, close->code, close->reason);
        } else if (const auto* announce = std::get_if<Announce>(&effect)) {
            log_rarely(announce->warning ? Severity::warning : Severity::info, announce->kind,
                       announce->about, announce->text);
        }
    }
    return batch;
}

void apply_and_record(Context& context, const Effects& effects) {
    context.store.record(apply_effects(context, effects));
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

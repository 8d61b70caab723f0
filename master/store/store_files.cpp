#include "master/store/store_files.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"

namespace rpic {

namespace {

constexpr std::size_t growths_kept = 4096;
constexpr std::size_t indexes_kept = 4;
constexpr Duration free_space_age = std::chrono::seconds(1);
constexpr std::int64_t note_time_seconds = 3600;
constexpr std::int64_t longest_run = 1'000'000'000'000;  // that a damaged store may speak of
constexpr const char* meta_run_seconds = "run_seconds";

/// As BlobStore lays them out.
BlobPath blobs_beside(const std::filesystem::path& file) {
    return [folder = file.parent_path() / "blobs"](const std::string& blob) {
        return blob.size() < 3 ? folder / "none" : folder / blob.substr(0, 2) / blob.substr(2);
    };
}

}  // namespace

StoreFiles::StoreFiles(const std::filesystem::path& file, BlobPath blob_path)
    : folder_(file.parent_path()),
      database_(open_sqlite(file)),
      outputs_(folder_ / "outputs"),
      items_(blob_path ? std::move(blob_path) : blobs_beside(file)) {
    run_before_ = std::clamp<std::int64_t>(database_->number(meta_run_seconds, 0), 0, longest_run);
    run_noted_ = run_before_;
    measure_free_space();
}

StoreContents StoreFiles::load() {
    return database_->load();
}

void StoreFiles::commit(const StoreBatch& batch, std::vector<std::string>& warnings) {
    std::map<JobId, Results> results;
    bool secure = false;
    for (const auto& operation : batch) {
        secure = secure || std::holds_alternative<DropKey>(operation);
        may_tidy_ = may_tidy_ || std::holds_alternative<DropJobs>(operation);
        if (const auto* result = std::get_if<PutResult>(&operation))
            results[result->result.job].push_back(result);
    }
    // Outputs first: a recorded result must never point to what is not there.
    std::vector<ResultRow> rows;
    for (const auto& [job, list] : results) rows.push_back(make_row(job, list));
    database_->begin(secure);
    for (const auto& operation : batch) database_->put(operation);
    for (const auto& row : rows) database_->put_results(row);
    mark_ended_jobs(batch);
    note_time();
    database_->commit();
    for (const auto& row : rows) {
        for (auto& index : indexes_)
            if (index.job == row.job)
                index.ranges.push_back({row.number, static_cast<std::int32_t>(row.low),
                                        static_cast<std::int32_t>(row.high)});
        statistics_.bytes += row.lines.size() + row.outputs.size();
    }
    ++statistics_.commits;
    if (Clock::now() - measured_ >= free_space_age) measure_free_space();
    statistics_.rows = database_->rows_changed();
    for (const auto& operation : batch) {
        const auto* file = std::get_if<PutSecretFile>(&operation);
        if (file == nullptr) continue;
        // What matters is committed; a file beside it that cannot be written now is made by the
        // next start.
        try {
            write_secret(file->path, file->text);
        } catch (const ConfigError& error) {
            warnings.emplace_back(error.what());
        }
    }
}

ResultRow StoreFiles::make_row(JobId job, const Results& results) {
    ResultRow row;
    row.job = job;
    row.low = results.front()->result.position;
    row.high = row.low;
    std::string lost;
    auto place = place_outputs(job, results, row, lost);
    ResultLineWriter writer;
    for (const auto* put : results) {
        const auto* result = &put->result;
        row.low = std::min(row.low, result->position);
        row.high = std::max(row.high, result->position);
        if (row.low < 0 || row.high >= limits::tasks_per_job)
            throw std::runtime_error("a result of a task that cannot be");
        if (!result->output_blob.empty() || !result->files.empty())
            row.blob_bytes = row.blob_bytes.value_or(0) +
                             (result->output_blob.empty() ? 0 : result->output_bytes);
        const auto size = static_cast<std::int64_t>(put->output.size());
        if (size == 0) {
            writer.append(row.lines, *result, {});
        } else if (place.in == OutputPlace::In::nothing) {
            auto changed = *result;
            changed.output_bytes = 0;
            changed.reason +=
                (changed.reason.empty() ? "" : "; ") + ("its output was lost: " + lost);
            writer.append(row.lines, changed, {});
            ++statistics_.outputs_lost;
        } else {
            place.size = size;
            writer.append(row.lines, *result, place);
            place.offset += size;
        }
    }
    row.number = ++growth_of(job).last_number;
    return row;
}

/// Brings the outputs to the disk, or into the row while the job has few: a file for every small
/// job would cost more than all else. Gives the place of the first one.
OutputPlace StoreFiles::place_outputs(JobId job, const Results& results, ResultRow& row,
                                      std::string& failure) {
    OutputPlace place;
    std::vector<std::string_view> pieces;
    std::int64_t size = 0;
    for (const auto* put : results) {
        if (put->output.empty()) continue;
        pieces.push_back(put->output);
        size += static_cast<std::int64_t>(put->output.size());
    }
    if (pieces.empty()) return place;
    auto& growth = growth_of(job);
    if (growth.row_bytes + size <= limits::row_output_bytes) {
        growth.row_bytes += size;
        place.in = OutputPlace::In::row;
        for (const auto piece : pieces) row.outputs += piece;
        return place;
    }
    try {
        const auto written = outputs_.append(job, pieces);
        place.in = OutputPlace::In::segment;
        place.segment = written.segment;
        place.offset = written.offset;
        statistics_.bytes += static_cast<std::uint64_t>(size);
    } catch (const std::runtime_error& error) {
        failure = error.what();
    }
    return place;
}

StoreFiles::Growth& StoreFiles::growth_of(JobId job) {
    const auto known = growth_.find(job);
    if (known != growth_.end()) return known->second;
    if (growth_.size() >= growths_kept) growth_.clear();  // found again in the database
    const auto totals = database_->totals(job);
    auto& growth = growth_[job];
    growth.last_number = totals.last_number;
    growth.row_bytes = totals.output_bytes;
    return growth;
}

void StoreFiles::mark_ended_jobs(const StoreBatch& batch) {
    for (const auto& operation : batch) {
        const JobStatus* status = nullptr;
        if (const auto* put = std::get_if<PutJobStatus>(&operation)) status = &put->status;
        if (const auto* put = std::get_if<PutJob>(&operation)) status = &put->status;
        if (status == nullptr || !status->ended) continue;
        const auto totals = database_->totals(status->id);
        const auto bytes = totals.output_bytes + totals.blob_bytes + outputs_.size(status->id);
        database_->mark_ended(status->id, run_seconds(), bytes);
        growth_.erase(status->id);
        outputs_.close(status->id);
    }
}

/// Ages count in time that the master has run, since the wall clock may be anything. It is recorded
/// now and then with what is recorded anyway, so that an idle master writes nothing.
void StoreFiles::note_time() {
    const auto now = run_seconds();
    if (now - run_noted_ < note_time_seconds) return;
    database_->put(SetMeta{meta_run_seconds, now});
    run_noted_ = now;
}

std::int64_t StoreFiles::run_seconds() const {
    const auto run = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - opened_);
    return run_before_ + run.count();
}

StoreFiles::Index& StoreFiles::index_of(JobId job) {
    const auto known = std::find_if(indexes_.begin(), indexes_.end(),
                                    [job](const Index& index) { return index.job == job; });
    if (known != indexes_.end()) {
        std::rotate(indexes_.begin(), known, known + 1);
        return indexes_.front();
    }
    if (indexes_.size() >= indexes_kept) indexes_.pop_back();
    indexes_.push_front({job, database_->ranges(job)});
    return indexes_.front();
}

std::vector<TaskResult> StoreFiles::results(JobId job, Position after, std::size_t limit) {
    std::vector<TaskResult> results;
    const auto& ranges = index_of(job).ranges;
    Position highest = -1;
    for (const auto& range : ranges) highest = std::max<Position>(highest, range.high);
    // Most often each position has a result: as many positions as results are wanted are enough.
    auto width = static_cast<Position>(std::clamp<std::size_t>(limit, 1, limits::tasks_per_job));
    auto low = std::max<Position>(after, -1) + 1;
    while (results.size() < limit && low <= highest) {
        const auto high = low + width - 1;
        std::map<Position, TaskResult> found;
        for (const auto& range : ranges) {
            if (range.high < low || range.low > high) continue;
            const auto lines = database_->lines(job, range.number);
            ResultLineReader reader(job, lines);
            TaskResult result;
            OutputPlace place;
            while (reader.next(result, place))
                if (result.position >= low && result.position <= high)
                    found.insert_or_assign(result.position, std::move(result));
        }
        for (auto& [position, result] : found)
            if (results.size() < limit) results.push_back(std::move(result));
        low = high + 1;
        width = std::min(width * 2, limits::tasks_per_job);
    }
    return results;
}

std::optional<StoreFiles::Found> StoreFiles::find(JobId job, Position position) {
    const auto& ranges = index_of(job).ranges;
    for (auto range = ranges.rbegin(); range != ranges.rend(); ++range) {
        if (position < range->low || position > range->high) continue;
        const auto lines = database_->lines(job, range->number);
        ResultLineReader reader(job, lines);
        std::optional<Found> newest;
        Found found;
        while (reader.next(found.result, found.place))
            if (found.result.position == position) newest = found;
        if (!newest) continue;
        newest->number = range->number;
        return newest;
    }
    return std::nullopt;
}

std::optional<TaskResult> StoreFiles::task_result(JobId job, Position position) {
    auto found = find(job, position);
    if (!found) return std::nullopt;
    return std::move(found->result);
}

StoredOutput StoreFiles::output(JobId job, Position position, std::int64_t offset,
                                std::size_t max_bytes) {
    StoredOutput output;
    const auto found = find(job, position);
    if (!found) return output;
    const auto& place = found->place;
    output.known = true;
    output.attempt = found->result.attempt;
    output.state = found->result.state;
    output.round = found->result.round;
    output.size = found->result.output_bytes;
    output.blob = found->result.output_blob;
    if (place.in == OutputPlace::In::nothing || offset < 0 || offset >= place.size) return output;
    const auto size =
        std::min<std::int64_t>(place.size - offset, static_cast<std::int64_t>(max_bytes));
    if (place.in == OutputPlace::In::row)
        output.bytes = database_->outputs(job, found->number, place.offset + offset, size);
    else
        output.bytes = outputs_.read(job, place.segment, place.offset + offset,
                                     static_cast<std::size_t>(size));
    return output;
}

std::vector<Item> StoreFiles::items(const std::vector<ItemRequest>& requests) {
    std::vector<Item> items;
    items.reserve(requests.size());
    for (const auto& request : requests) items.push_back(items_.read(request));
    return items;
}

bool StoreFiles::count_some(const std::string& blob, ItemFiles::Counting& counting) {
    return items_.count_some(blob, counting);
}

std::vector<EndedJob> StoreFiles::ended_jobs() {
    return database_->ended_jobs(run_seconds());
}

BlobsOfJobs StoreFiles::blobs_in_use() {
    BlobsOfJobs blobs;
    const auto add_file = [&](JobId job, const std::string& blob) {
        if (!blob.empty()) blobs[job].files.insert(blob);
    };
    const auto add_list = [&](JobId job, const std::string& blob) {
        if (!blob.empty()) blobs[job].lists.insert(blob);
    };
    database_->visit_specs([&](JobId job, const JobSpec& spec) {
        add_file(job, spec.items);
        add_file(job, spec.stdin_blob);
        for (const auto& manifest : spec.in) add_list(job, manifest);
        for (const auto& [arch, manifest] : spec.in_arch) add_list(job, manifest);
    });
    database_->visit_blobs([&](JobId job, std::string_view lines) {
        ResultLineReader reader(job, lines);
        TaskResult result;
        OutputPlace place;
        while (reader.next(result, place)) {
            add_file(job, result.output_blob);
            add_list(job, result.files);
        }
    });
    return blobs;
}

void StoreFiles::start_backup(const std::filesystem::path& file) {
    if (backup_) throw std::runtime_error("another backup is being made: try again later");
    backup_ = std::make_unique<Backup>(*database_, folder_, file);
}

bool StoreFiles::backup_some(MadeBackup& made) {
    try {
        if (backup_->step()) return true;
    } catch (...) {
        backup_.reset();
        throw;
    }
    made = backup_->made();
    backup_.reset();
    return false;
}

bool StoreFiles::tidy_some() {
    // A backup that has copied the rows still needs the files.
    if (!may_tidy_ || backup_) return false;
    const auto job = database_->dropped_job();
    may_tidy_ = job.has_value();
    if (!job) return false;
    std::erase_if(indexes_, [&](const Index& index) { return index.job == *job; });
    growth_.erase(*job);
    database_->begin(false);
    const bool rows = database_->delete_some(*job);
    if (!rows && !outputs_.remove_some(*job)) database_->forget_dropped(*job);
    database_->commit();
    return true;
}

void StoreFiles::measure_free_space() {
    measured_ = Clock::now();
    struct statvfs status {};
    if (::statvfs(folder_.empty() ? "." : folder_.c_str(), &status) != 0) return;
    statistics_.free_bytes = static_cast<std::int64_t>(status.f_bavail * status.f_frsize);
}

}  // namespace rpic

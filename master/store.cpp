#include "master/store.hpp"

#include <time.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <functional>
#include <stdexcept>

#include "common/errors.hpp"
#include "common/log.hpp"
#include "master/store/store_files.hpp"

namespace rpic {

/// Something that the helper thread does for a coroutine.
class StoreTask {
  public:
    explicit StoreTask(const asio::any_io_executor& executor) : changed(executor) {}
    virtual ~StoreTask() = default;

    /// On the helper thread. False if there is more to do: then it is called again.
    virtual bool step(StoreFiles& files) = 0;

    std::exception_ptr failure;  // the thread's until it is answered
    bool answered = false;       // the loop's
    Wakeup changed;              // the loop's
};

namespace {

template <class Answer>
class Question : public StoreTask {
  public:
    using Step = std::function<bool(StoreFiles&, Answer&)>;
    Question(const asio::any_io_executor& executor, Step step)
        : StoreTask(executor), step_(std::move(step)) {}
    bool step(StoreFiles& files) override { return step_(files, answer); }
    Answer answer{};

  private:
    Step step_;
};

template <class Answer>
asio::awaitable<Answer> answer_of(std::shared_ptr<Question<Answer>> question) {
    auto seen = question->changed.count();
    while (!question->answered) seen = co_await question->changed.wait(seen);
    if (question->failure) std::rethrow_exception(question->failure);
    co_return std::move(question->answer);
}

/// A backup takes minutes, and who waits for it may go: the thread looks whether it is still
/// wanted.
class WaitsForBackup {
  public:
    explicit WaitsForBackup(std::shared_ptr<std::atomic<bool>> wanted)
        : wanted_(std::move(wanted)) {}
    ~WaitsForBackup() { *wanted_ = false; }
    WaitsForBackup(const WaitsForBackup&) = delete;
    WaitsForBackup& operator=(const WaitsForBackup&) = delete;

  private:
    std::shared_ptr<std::atomic<bool>> wanted_;
};

asio::awaitable<MadeBackup> backup_of(asio::awaitable<MadeBackup> answer,
                                      std::unique_ptr<WaitsForBackup> /*until it is there*/) {
    co_return co_await std::move(answer);
}

double thread_cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

constexpr Duration measure_after = std::chrono::seconds(1);

}  // namespace

Store::Store(asio::any_io_executor executor, const std::filesystem::path& file, BlobPath blob_path)
    : executor_(executor), progress_(std::make_shared<Progress>(executor)) {
    try {
        files_ = std::make_unique<StoreFiles>(file, std::move(blob_path));
    } catch (const std::runtime_error& error) {
        throw ConfigError("cannot use the store " + file.string() + ": " + error.what() +
                          "; put a good copy there, or move it away to start anew");
    }
    progress_->statistics = files_->statistics();
    progress_->measured = files_->measured();
}

Store::~Store() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_one();
    if (thread_.joinable()) thread_.join();
}

Store::Contents Store::load() {
    try {
        return files_->load();
    } catch (const std::exception& error) {
        throw ConfigError(std::string("the store is damaged: ") + error.what() +
                          "; put a good copy of store.db there, or move it away to start anew");
    }
}

asio::awaitable<void> Store::commit(StoreBatch batch) {
    if (batch.empty()) co_return;
    const auto number = enqueue(std::move(batch), nullptr);
    const auto progress = progress_;
    auto seen = progress->changed.count();
    while (progress->committed < number) seen = co_await progress->changed.wait(seen);
}

void Store::record(StoreBatch batch) {
    if (!batch.empty()) enqueue(std::move(batch), nullptr);
}

template <class Answer, class Step>
asio::awaitable<Answer> Store::ask(Step step, StoreBatch batch) {
    auto question = std::make_shared<Question<Answer>>(executor_, std::move(step));
    enqueue(std::move(batch), question);
    return answer_of(std::move(question));
}

asio::awaitable<std::vector<Item>> Store::commit(StoreBatch batch,
                                                 std::vector<ItemRequest> requests) {
    auto step = [requests = std::move(requests)](StoreFiles& files, std::vector<Item>& answer) {
        answer = files.items(requests);
        return true;
    };
    return ask<std::vector<Item>>(std::move(step), std::move(batch));
}

asio::awaitable<std::vector<Item>> Store::items(std::vector<ItemRequest> requests) {
    return commit({}, std::move(requests));
}

asio::awaitable<std::vector<TaskResult>> Store::results(JobId job, Position after,
                                                        std::size_t limit) {
    return ask<std::vector<TaskResult>>([=](StoreFiles& files, std::vector<TaskResult>& answer) {
        answer = files.results(job, after, limit);
        return true;
    });
}

asio::awaitable<std::optional<TaskResult>> Store::task_result(JobId job, Position position) {
    using Answer = std::optional<TaskResult>;
    return ask<Answer>([=](StoreFiles& files, Answer& answer) {
        answer = files.task_result(job, position);
        return true;
    });
}

asio::awaitable<StoredOutput> Store::output(JobId job, Position position, std::int64_t offset,
                                            std::size_t max_bytes) {
    return ask<StoredOutput>([=](StoreFiles& files, StoredOutput& answer) {
        answer = files.output(job, position, offset, max_bytes);
        return true;
    });
}

asio::awaitable<ItemCount> Store::count_items(std::string blob) {
    auto step = [blob = std::move(blob), counting = ItemFiles::Counting{}](
                    StoreFiles& files, ItemCount& answer) mutable {
        if (files.count_some(blob, counting)) return false;
        answer = counting.count;
        return true;
    };
    return ask<ItemCount>(std::move(step));
}

asio::awaitable<std::vector<EndedJob>> Store::ended_jobs() {
    return ask<std::vector<EndedJob>>([](StoreFiles& files, std::vector<EndedJob>& answer) {
        answer = files.ended_jobs();
        return true;
    });
}

asio::awaitable<BlobsOfJobs> Store::blobs_in_use() {
    return ask<BlobsOfJobs>([](StoreFiles& files, BlobsOfJobs& answer) {
        answer = files.blobs_in_use();
        return true;
    });
}

asio::awaitable<MadeBackup> Store::backup(std::filesystem::path file) {
    const auto wanted = std::make_shared<std::atomic<bool>>(true);
    auto step = [file = std::move(file), wanted, started = false](StoreFiles& files,
                                                                  MadeBackup& made) mutable {
        if (!*wanted) {
            if (started) files.drop_backup();
            return true;
        }
        if (!started) files.start_backup(file);
        started = true;
        return !files.backup_some(made);
    };
    auto waiting = std::make_unique<WaitsForBackup>(wanted);
    return backup_of(ask<MadeBackup>(std::move(step)), std::move(waiting));
}

asio::awaitable<std::int64_t> Store::free_bytes() {
    if (Clock::now() - progress_->measured >= measure_after) {
        const auto measure = [](StoreFiles& files, bool&) {
            files.measure_free_space();
            return true;
        };
        co_await ask<bool>(measure);
    }
    co_return progress_->statistics.free_bytes;
}

std::uint64_t Store::enqueue(StoreBatch batch, std::shared_ptr<StoreTask> task) {
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        number = ++queued_;
        queue_.insert(queue_.end(), std::make_move_iterator(batch.begin()),
                      std::make_move_iterator(batch.end()));
        if (task) tasks_.push_back(std::move(task));
    }
    // Only now: what is loaded at the start needs the files for itself.
    if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
    ready_.notify_one();
    return number;
}

asio::awaitable<void> Store::run() {
    auto seen = progress_->changed.count();
    while (progress_->failure.empty()) seen = co_await progress_->changed.wait(seen);
    throw std::runtime_error("the store failed: " + progress_->failure);
}

void Store::work() {
    Tasks unfinished;
    bool tidying = true;
    for (;;) {
        StoreBatch batch;
        Tasks tasks;
        std::uint64_t number = 0;
        {
            std::unique_lock lock(mutex_);
            const bool busy = tidying || !unfinished.empty();
            ready_.wait(lock,
                        [&] { return busy || stopping_ || !queue_.empty() || !tasks_.empty(); });
            if (stopping_ && queue_.empty()) return;
            batch.swap(queue_);
            tasks.swap(tasks_);
            number = queued_;
        }
        Outcome outcome;
        try {
            if (!batch.empty()) files_->commit(batch, outcome.warnings);
            tasks.insert(tasks.begin(), unfinished.begin(), unfinished.end());
            unfinished.clear();
            outcome.answered = answer(std::move(tasks), unfinished);
            // What can wait is done when nothing else is to be done.
            tidying = (batch.empty() && outcome.answered.empty()) ? files_->tidy_some() : true;
        } catch (const std::exception& error) {
            outcome.failure = error.what();
        }
        const bool failed = !outcome.failure.empty();
        if (failed || !batch.empty() || !outcome.answered.empty())
            report(failed ? 0 : number, std::move(outcome));
        if (failed) return;
    }
}

/// Does one step of each task; gives those that are done with.
Store::Tasks Store::answer(Tasks tasks, Tasks& unfinished) {
    Tasks answered;
    for (auto& task : tasks) {
        bool done = true;
        try {
            done = task->step(*files_);
        } catch (...) {
            task->failure = std::current_exception();
        }
        (done ? answered : unfinished).push_back(std::move(task));
    }
    return answered;
}

void Store::report(std::uint64_t number, Outcome outcome) {
    outcome.statistics = files_->statistics();
    outcome.statistics.cpu_seconds = thread_cpu_seconds();
    outcome.measured = files_->measured();
    asio::post(executor_, [progress = progress_, number, outcome = std::move(outcome)] {
        const bool told = number > progress->committed || !outcome.failure.empty();
        if (outcome.failure.empty())
            progress->committed = number;
        else
            progress->failure = outcome.failure;
        progress->statistics = outcome.statistics;
        progress->measured = outcome.measured;
        for (const auto& warning : outcome.warnings) log_error(warning);
        for (const auto& task : outcome.answered) {
            task->answered = true;
            task->changed.notify();
        }
        if (told) progress->changed.notify();
    });
}

}  // namespace rpic

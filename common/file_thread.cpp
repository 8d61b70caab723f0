#include "common/file_thread.hpp"

#include <boost/asio/post.hpp>
#include <system_error>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "common/sleep.hpp"

namespace rpic {

FileThread::FileThread(asio::any_io_executor executor)
    : executor_(std::move(executor)), room_(std::make_shared<Room>(executor_)) {}

FileThread::~FileThread() {
    std::deque<std::shared_ptr<Job>> dropped;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        dropped.swap(queue_);
    }
    ready_.notify_all();
    if (thread_.joinable()) thread_.join();
}

asio::awaitable<void> FileThread::carry_out(std::shared_ptr<Job> job) {
    const auto room = room_;
    auto room_seen = room->changed.count();
    while (room->waiting >= limits::file_queue) room_seen = co_await room->changed.wait(room_seen);
    while (!enqueue(job)) co_await sleep_for(limits::thread_retry);
    // However the waiting ends, also by the end of the loop: only the job is touched then.
    struct Leave {
        Job& job;
        ~Leave() { job.abandoned = true; }
    };
    const Leave leave{*job};
    auto seen = job->changed.count();
    while (!job->done) seen = co_await job->changed.wait(seen);
}

/// False, and nothing happens, if there is no thread for it.
bool FileThread::enqueue(const std::shared_ptr<Job>& job) {
    const std::lock_guard lock(mutex_);
    if (!running_ && !start_thread()) return false;
    queue_.push_back(job);
    ++room_->waiting;
    ready_.notify_one();
    return true;
}

/// A limit of threads is reached now and then where others share it: no reason to end the program.
bool FileThread::start_thread() {
    // The last one ended because it had nothing to do.
    if (thread_.joinable()) thread_.join();
    try {
        thread_ = std::thread([this] { work(); });
    } catch (const std::system_error& error) {
        log_rarely(Severity::warning, "no_thread", "files",
                   std::string("work with files waits, for no thread can be started: ") +
                       error.code().message() +
                       "; see the limits of processes (ulimit -u, TasksMax=, --pids-limit, "
                       "kernel.threads-max) and of memory");
        return false;
    }
    running_ = true;
    return true;
}

void FileThread::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        const auto wanted = [this] { return stopping_ || !queue_.empty(); };
        if (!ready_.wait_for(lock, limits::file_thread_idle, wanted)) break;
        if (stopping_) break;
        auto job = std::move(queue_.front());
        queue_.pop_front();
        lock.unlock();
        try {
            if (!job->abandoned) job->call();
        } catch (...) {
            job->failure = std::current_exception();
        }
        report(std::move(job));
        lock.lock();
    }
    running_ = false;
}

/// The last reference to a job is let go on the loop, where its timer belongs.
void FileThread::report(std::shared_ptr<Job> job) {
    asio::post(executor_, [room = room_, job = std::move(job)] {
        --room->waiting;
        room->changed.notify();
        job->done = true;
        job->changed.notify();
    });
}

}  // namespace rpic

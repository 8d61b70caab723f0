#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "common/wakeup.hpp"

namespace rpic {

namespace asio = boost::asio;

/// The helper thread for work that waits for the disk. Work is done in the order in which it comes:
///
///     auto work = [path] { return read_it(path); };
///     auto text = co_await files.run(std::move(work));
///
/// The thread is started with the first work and ends when there was none for
/// limits::file_thread_idle, so that an idle program has one stack less. While none can be started
/// the work waits, and the log says why. It must outlive those who wait for it, and what the work
/// uses must outlive it.
class FileThread {
  public:
    explicit FileThread(asio::any_io_executor executor);
    /// Lets what has begun end; what has not is dropped.
    ~FileThread();
    FileThread(const FileThread&) = delete;
    FileThread& operator=(const FileThread&) = delete;

    /// Calls `function` on the thread and gives its result, or throws what it threw. When the
    /// waiting coroutine is cancelled, work that has not begun is not done; work that has is done
    /// to its end, so it must own what it uses. While limits::file_queue wait, it waits before it
    /// queues.
    template <class Function>
    asio::awaitable<std::invoke_result_t<Function&>> run(Function function) {
        using Result = std::invoke_result_t<Function&>;
        auto job = std::make_shared<Work<Function, Result>>(executor_, std::move(function));
        co_await carry_out(job);
        if (job->failure) std::rethrow_exception(job->failure);
        if constexpr (!std::is_void_v<Result>) co_return std::move(*job->result);
    }

  private:
    struct Job {
        explicit Job(const asio::any_io_executor& executor) : changed(executor) {}
        virtual ~Job() = default;
        virtual void call() = 0;

        std::exception_ptr failure;
        Wakeup changed;     // the loop's
        bool done = false;  // the loop's
        std::atomic<bool> abandoned = false;
    };

    template <class Function, class Result>
    struct Work : Job {
        Work(const asio::any_io_executor& executor, Function f)
            : Job(executor), function(std::move(f)) {}
        void call() override {
            if constexpr (std::is_void_v<Result>)
                function();
            else
                result.emplace(function());
        }
        struct Nothing {};
        Function function;
        std::optional<std::conditional_t<std::is_void_v<Result>, Nothing, Result>> result;
    };

    // Reports of the thread hold it, since they may be run after this object has gone.
    struct Room {
        explicit Room(const asio::any_io_executor& executor) : changed(executor) {}
        std::size_t waiting = 0;
        Wakeup changed;
    };

    asio::awaitable<void> carry_out(std::shared_ptr<Job> job);
    bool enqueue(const std::shared_ptr<Job>& job);
    bool start_thread();
    void work();
    void report(std::shared_ptr<Job> job);

    asio::any_io_executor executor_;
    std::shared_ptr<Room> room_;

    // Shared with the thread, under the mutex.
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::shared_ptr<Job>> queue_;
    bool stopping_ = false;
    bool running_ = false;
    std::thread thread_;
};

}  // namespace rpic

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "test/sim/master.hpp"
#include "test/sim/stage.hpp"

namespace rpic::sim {

/// Those who submit jobs and change their minds. What they send may be lost, and so may the answer:
/// they ask again, a submit with the same idempotency key.
class Users {
  public:
    Users(Stage& stage, Master& master, Policy policy)
        : stage_(stage), master_(master), policy_(policy) {}

    /// `endless`: tasks that run for minutes.
    void submit_something(bool endless = false);
    void change_something();
    /// More of their tasks have files than usual.
    void bring_files() { files_chance_ = 60; }
    /// No node is drained or in quarantine and no job is held any more.
    void let_all_go_on();
    bool all_acknowledged() const { return open_.empty(); }
    /// Of a node that was removed: somebody may want it back.
    std::function<void(const std::string& name)> on_removed;
    std::int64_t submits() const { return last_; }

  private:
    std::shared_ptr<JobSpec> make_spec();
    void send(const std::string& key);
    void answered(const std::string& key, const JobSpec& spec, JobId job);
    void change_job(int what, JobId job);
    void change_node();
    void remove_node();
    void retry(JobId job, bool cancelled_too);
    std::optional<JobId> some_job();
    bool lost(Trouble what) {
        if (!stage_.faults || !stage_.random.chance(10)) return false;
        stage_.troubles.count(what);
        return true;
    }

    Stage& stage_;
    Master& master_;
    Policy policy_;
    int files_chance_ = 10;                                       // percent of jobs
    std::map<std::string, std::shared_ptr<const JobSpec>> open_;  // submits without an answer
    std::int64_t last_ = 0;
    int retries_ = 0;
};

}  // namespace rpic::sim

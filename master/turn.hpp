#pragma once

#include <cstdint>
#include <set>
#include <variant>
#include <vector>

#include "master/core/effects.hpp"
#include "master/core/jobs.hpp"
#include "master/store/records.hpp"

namespace rpic {

/// Where the messages of a turn go: the connections of workers, by their numbers.
class TurnPost {
  public:
    using Message = std::variant<StartTasks, StopAttempts, AckAttempts, Resynced, Power>;

    virtual ~TurnPost() = default;
    /// The jobs of which this worker has been told what they are; null if its connection has ended.
    virtual std::set<JobId>* known_jobs(SessionId session) = 0;
    virtual void send(SessionId session, const Message& message) = 0;
    /// To all who know of it.
    virtual void drop_job(JobId job) = 0;
};

/// What was decided during one turn: records, which become durable together, and messages, which
/// leave once they are, in the order in which they were decided. Pure.
class Turn {
  public:
    /// Takes up an effect that is a record or a message, and leaves all others.
    void take(Effect& effect, const Jobs& jobs, std::int64_t wall_ms);
    void record(StoreBatch more);
    void answer(SessionId session, Resynced message);

    bool empty() const { return batch.empty() && sendings_.empty(); }
    void send(TurnPost& post, const Cluster& cluster, const Jobs& jobs) const;

    /// The start for which the item `place` is wanted.
    OrderStart& start_of_item(std::size_t place);
    std::size_t starts_with_items() const { return items_for_.size(); }

    StoreBatch batch;
    std::vector<ItemRequest> items;

  private:
    struct Answer {
        SessionId session = 0;
        Resynced message;
    };
    using Sending = std::variant<OrderStart, OrderStop, OrderAck, OrderPower, JobEnded, Answer>;

    bool take_record(Effect& effect, std::int64_t wall_ms);
    std::size_t send_starts(TurnPost& post, const Cluster& cluster, const Jobs& jobs,
                            std::size_t place) const;
    template <class Order, class Message>
    std::size_t send_keys(TurnPost& post, std::size_t place, Message message) const;

    std::vector<Sending> sendings_;
    std::vector<std::size_t> items_for_;  // places of `sendings_`
};

/// Fills the cluster and its jobs from what the store held, before anything else happens to them;
/// they know one another from here on.
void take_up(StoreContents& contents, Cluster& cluster, Jobs& jobs, Moment now, Effects& effects);

}  // namespace rpic

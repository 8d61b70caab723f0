#include "test/sim/board.hpp"

namespace rpic::sim {

using namespace std::chrono_literals;

Board::Board(Stage& stage, int index, std::uint64_t seed) : stage_(stage) {
    facts_.index = index;
    facts_.name = "n" + std::to_string(index);
    facts_.seed = seed;
    facts_.room.milli_cpus = 1000 * (index == 0 ? 2 : stage.random.pick(1, 3));
    facts_.room.memory_bytes = 400;
    facts_.room.resources["gpu"] = index == 0 || stage.random.chance(50);
    facts_.clock.rate = stage.clock_rate();
}

// ---------------------------------------------------------------------------------- life and death

void Board::power_on() {
    if (powered_) return;
    powered_ = true;
    ++facts_.boot;
    facts_.clock.booted = stage_.now();
    stage_.network.set_node_power(facts_.index, true);
    stage_.trace.line(facts_.name, "boots");
    stage_.timeline.after(stage_.random.between(200ms, 4s), [this, boot = facts_.boot] {
        if (boot == facts_.boot && powered_) start_slave();
    });
}

void Board::power_off() {
    if (!powered_) return;
    stage_.trace.line(facts_.name, "loses its power");
    stage_.troubles.count(Trouble::node_power_cut);
    powered_ = false;
    stage_.network.set_node_power(facts_.index, false);
    for (const auto link : stage_.network.links_of(facts_.index))
        stage_.network.close_node_end(link, "no power", true);
    slave_.reset();
    runner_.reset();
    socket_ = connecting_ = false;
    if (disk_.lose_tail(stage_.random)) stage_.troubles.count(Trouble::spool_tail_torn);
    std::erase_if(facts_.finished, [this](const auto& entry) {
        const auto& [key, durable] = entry;
        if (durable || disk_.spool.contains(key)) return false;
        stage_.audit.died(key);
        return true;
    });
}

void Board::start_slave() {
    if (!powered_ || slave_ != nullptr) return;
    ++slave_life_;
    slave_ = std::make_unique<Slave>(stage_, facts_, node_key_, *this);
    slave_->start();
}

void Board::kill_slave() {
    if (slave_ == nullptr) return;
    stage_.trace.line(facts_.name, "its slave is killed");
    stage_.troubles.count(Trouble::slave_killed);
    const auto link = slave_->link();
    slave_.reset();
    if (link != 0) stage_.network.close_node_end(link, "its slave was killed");
    connecting_ = false;
    if (!std::exchange(socket_, false)) return;
    to_runner([](Runner& runner) { runner.slave_gone(); });
}

void Board::rejoin() {
    facts_.rejoin = true;
    kill_slave();
    start_slave();
}

void Board::kill_runner() {
    if (runner_ == nullptr) return;
    stage_.trace.line(facts_.name, "its runner is killed");
    stage_.troubles.count(Trouble::runner_killed);
    end_runner();
}

void Board::end_runner() {
    runner_.reset();
    const bool told = socket_ || connecting_;
    socket_ = told;
    to_slave([](Slave& slave) { slave.on_runner_gone(); });
    socket_ = connecting_ = false;
}

/// With nothing to do the runner ends by itself: soon without a slave, later with one.
void Board::watch_idle(int looks) {
    stage_.timeline.after(10s, [this, life = runner_life_, looks] {
        if (runner_ == nullptr || life != runner_life_) return;
        if (!runner_->idle()) return watch_idle(0);
        if (looks + 1 < (socket_ ? 6 : 2)) return watch_idle(looks + 1);
        stage_.trace.line(facts_.name, "its runner has nothing to do");
        end_runner();
    });
}

// ------------------------------------------------------------------------------------- the socket

Duration Board::latency() {
    return stage_.random.chance(2) ? stage_.random.between(1ms, 400ms)
                                   : stage_.random.between(20us, 300us);
}

void Board::connect_runner() {
    const bool starts = runner_ == nullptr;
    stage_.timeline.after(starts ? 20ms : 1ms, [this, life = slave_life_] {
        if (slave_ == nullptr || life != slave_life_) return;
        if (runner_ == nullptr) {
            ++runner_life_;
            runner_ = std::make_unique<Runner>(stage_, facts_, disk_, *this);
            watch_idle(0);
        }
        connecting_ = true;
        to_runner([this, life](Runner&) {
            if (slave_ != nullptr && life == slave_life_) attach();
        });
    });
}

void Board::attach() {
    socket_ = true;
    connecting_ = false;
    to_slave([all = runner_->attach()](Slave& slave) { slave.on_attached(all); });
}

void Board::to_runner(std::function<void(Runner&)> message) {
    last_to_runner_ = std::max(last_to_runner_, stage_.now() + latency());
    stage_.timeline.at(last_to_runner_, [this, life = runner_life_, say = std::move(message)] {
        if (runner_ != nullptr && life == runner_life_) say(*runner_);
    });
}

void Board::to_slave(std::function<void(Slave&)> message) {
    if (!socket_) return;
    last_to_slave_ = std::max(last_to_slave_, stage_.now() + latency());
    stage_.timeline.at(last_to_slave_, [this, life = slave_life_, say = std::move(message)] {
        if (slave_ != nullptr && life == slave_life_) say(*slave_);
    });
}

void Board::on_launched(const AttemptKey& key) {
    to_slave([key](Slave& slave) { slave.on_launched(key); });
}

void Board::on_ended(const RunnerAttempt& attempt, const std::string& output) {
    to_slave([attempt, output](Slave& slave) { slave.on_ended(attempt, output); });
}

void Board::on_down(LinkId link, Down& message) {
    if (slave_ != nullptr) slave_->on_down(link, message);
}

// ------------------------------------------------------------------------------------------ looks

std::vector<AttemptKey> Board::processes() const {
    return runner_ == nullptr ? std::vector<AttemptKey>() : runner_->processes();
}

bool Board::empty() const {
    return slave_ != nullptr && slave_->settled() && slave_->attempts().size() == 0 &&
           processes().empty() && facts_.finished.empty();
}

std::string Board::what_is_left() const {
    if (slave_ == nullptr || !slave_->settled()) return facts_.name + " has no master";
    std::string left = facts_.name + " still has";
    for (const auto& state : slave_->attempts().states())
        left += " " + name_of(state.key) + " (" + state.state + ")";
    for (const auto& key : processes()) left += " " + name_of(key) + " (runs)";
    for (const auto& [key, durable] : facts_.finished) left += " " + name_of(key) + " (finished)";
    return left;
}

Duration Board::calm_since() {
    const bool calm = slave_ != nullptr && slave_->settled() &&
                      (runner_ == nullptr || (socket_ && slave_->attached())) &&
                      !stage_.network.is_cut(facts_.index);
    const auto with = std::tuple(calm ? slave_->link() : 0, runner_life_, slave_life_);
    if (!calm)
        calm_since_ = Duration::max();
    else if (calm_since_ == Duration::max() || with != calm_with_)
        calm_since_ = stage_.now();
    calm_with_ = with;
    return calm_since_;
}

}  // namespace rpic::sim

#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace rpic {

/// What a task holds on to while it runs, and what a node has of it. CPUs are counted in
/// thousandths, so that sums are exact.
struct Holding {
    std::int64_t milli_cpus = 0;
    std::int64_t memory_bytes = 0;
    std::map<std::string, std::int64_t> resources;

    bool operator==(const Holding&) const = default;
};

/// At least 0, at most limits::job_cpus.
std::int64_t milli_cpus(double cpus);

/// The node's own account of what its running tasks hold. The master keeps one too; this one keeps
/// a queue ahead from using anything twice.
class AttemptSlots {
  public:
    explicit AttemptSlots(Holding capacity) : capacity_(std::move(capacity)) {}

    bool fits(const Holding& wanted) const { return fits_beside(wanted, used_); }
    /// Whether it would fit if nothing else ran.
    bool could_fit(const Holding& wanted) const { return fits_beside(wanted, {}); }

    /// Takes it even if it does not fit: what runs already cannot be undone.
    void take(const Holding& holding);
    void give_back(const Holding& holding);

    const Holding& used() const { return used_; }
    /// For people: "4 CPUs, 2G of memory and camera=1".
    static std::string words(const Holding& holding);
    const Holding& capacity() const { return capacity_; }

  private:
    bool fits_beside(const Holding& wanted, const Holding& used) const;

    Holding capacity_;
    Holding used_;
};

}  // namespace rpic

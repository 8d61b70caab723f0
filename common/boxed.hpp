#pragma once

#include <memory>
#include <utility>

namespace rpic {

/// A value that lies on the heap, and is made, copied and moved like any other: for the one large
/// alternative of a variant of which there are many with small ones. Never empty but when it was
/// moved from.
template <class Value>
class Boxed {
  public:
    Boxed(Value value) : value_(std::make_unique<Value>(std::move(value))) {}
    Boxed(const Boxed& other) : value_(std::make_unique<Value>(*other.value_)) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(Boxed other) noexcept {
        value_ = std::move(other.value_);
        return *this;
    }
    ~Boxed() = default;

    const Value& operator*() const { return *value_; }
    const Value* operator->() const { return value_.get(); }

  private:
    std::unique_ptr<Value> value_;
};

}  // namespace rpic

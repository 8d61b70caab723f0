#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "master/core/job_records.hpp"

namespace rpic {

/// Positions of tasks, a bit for each: after a retry nearly all of a million may be in it.
class PositionSet {
  public:
    bool empty() const { return size_ == 0; }
    std::int64_t size() const { return size_; }

    bool contains(Position position) const {
        return word_of(position) < words_.size() && (words_[word_of(position)] & bit_of(position));
    }

    /// The first from this one on.
    std::optional<Position> next(Position from) const {
        auto word = word_of(from);
        auto mask = ~std::uint64_t{0} << (from % bits);
        if (word < first_word_) {
            word = first_word_;
            mask = ~std::uint64_t{0};
        }
        for (; word < words_.size(); ++word, mask = ~std::uint64_t{0})
            if (const auto found = words_[word] & mask)
                return static_cast<Position>(word) * bits + std::countr_zero(found);
        return std::nullopt;
    }

    void insert(Position position) {
        if (contains(position)) return;
        const auto word = word_of(position);
        if (word >= words_.size()) words_.resize(word + 1);
        words_[word] |= bit_of(position);
        if (word < first_word_) first_word_ = word;
        ++size_;
    }

    void erase(Position position) {
        if (!contains(position)) return;
        words_[word_of(position)] &= ~bit_of(position);
        --size_;
        while (first_word_ < words_.size() && words_[first_word_] == 0) ++first_word_;
    }

    void clear() { *this = {}; }

  private:
    static constexpr Position bits = 64;  // of a word
    static std::size_t word_of(Position position) {
        return static_cast<std::size_t>(position / bits);
    }
    static std::uint64_t bit_of(Position position) { return std::uint64_t{1} << (position % bits); }

    std::vector<std::uint64_t> words_;
    std::size_t first_word_ = 0;  // all before it are empty: tasks are taken from the front
    std::int64_t size_ = 0;
};

}  // namespace rpic

#pragma once

#include <string>
#include <vector>

#include "common/codec.hpp"
#include "common/json.hpp"
#include "common/limits.hpp"

namespace rpic {

/// A request of a client that cannot be carried out; becomes `failed`.
struct RequestError {
    std::string code;  // as in Failed
    std::string reason;
};

/// A list as frames that each keep to the limit. `Answer` has `more`, `list` is its member for
/// them. `goes_on`: further frames follow behind these.
template <class Answer, class Items>
std::vector<std::string> paged(std::int64_t id, const Items& items, Items Answer::*list,
                               bool goes_on = false) {
    std::vector<std::string> frames;
    Answer page;
    page.id = id;
    std::size_t bytes = 0;
    for (const auto& item : items) {
        const auto size = json::serialize(to_json(item)).size();
        if (bytes + size > limits::page_bytes) {
            page.more = true;
            frames.push_back(encode(page));
            (page.*list).clear();
            bytes = 0;
        }
        (page.*list).push_back(item);
        bytes += size;
    }
    page.more = goes_on;
    frames.push_back(encode(page));
    return frames;
}

}  // namespace rpic

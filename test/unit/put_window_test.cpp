#include "common/put_window.hpp"

#include <catch2/catch.hpp>
#include <deque>

using namespace rpic;

namespace {

constexpr auto one_part = static_cast<std::int64_t>(limits::chunk_bytes);

/// The other side: what it has, as BlobStore::put_chunk does.
struct Store {
    std::int64_t size;
    std::int64_t here = 0;

    std::int64_t take(std::int64_t offset, std::int64_t length) {
        if (offset == 0 && length > 0) here = 0;
        if (offset == here) here += length;
        return here;
    }
};

struct Sent {
    std::int64_t offset;
    std::int64_t length;
};

/// Sends until it is done; `disturb` is called before each answer.
template <class Disturb>
std::vector<Sent> send_all(Store& store, Disturb disturb) {
    PutWindow window(store.size);
    std::vector<Sent> sent;
    std::deque<Sent> ahead;
    while (!window.done()) {
        while (window.may_send()) {
            ahead.push_back({window.offset(), window.length()});
            sent.push_back(ahead.back());
            window.sent();
        }
        REQUIRE(ahead.size() <= limits::chunks_ahead);
        REQUIRE_FALSE(ahead.empty());
        disturb(sent.size());
        const auto oldest = ahead.front();
        ahead.pop_front();
        window.stored(store.take(oldest.offset, oldest.length));
    }
    return sent;
}

}  // namespace

TEST_CASE("small blobs take one one_part, an empty one too", "[put_window]") {
    const std::int64_t size = GENERATE(0, 1, one_part);
    Store store{size};
    const auto sent = send_all(store, [](std::size_t) {});
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].offset == 0);
    CHECK(sent[0].length == size);
}

TEST_CASE("large ones begin where the other side is", "[put_window]") {
    const std::int64_t size = GENERATE(one_part + 1, 4 * one_part, 10 * one_part + 7);
    const std::int64_t here = GENERATE(0, 1, one_part, one_part + 1);
    Store store{size, here};
    const auto sent = send_all(store, [](std::size_t) {});
    CHECK(sent[0].length == 0);
    if (here < size) CHECK(sent.at(1).offset == here);
    CHECK(sent.size() == static_cast<std::size_t>(1 + (size - here + one_part - 1) / one_part));
    CHECK(store.here == size);
}

TEST_CASE("somebody else's progress and a new start are both followed", "[put_window]") {
    const std::int64_t size = 20 * one_part + 5;
    Store store{size};
    SECTION("ahead") {
        send_all(store, [&](std::size_t sent) {
            if (sent == 6) store.here = std::max(store.here, 12 * one_part);
        });
    }
    SECTION("anew") {
        bool done = false;
        send_all(store, [&](std::size_t sent) {
            if (sent != 8 || done) return;
            done = true;
            store.here = one_part;
        });
    }
    SECTION("whole") {
        const auto sent = send_all(store, [&](std::size_t count) {
            if (count == 6) store.here = size;
        });
        CHECK(sent.size() < 10);
    }
    CHECK(store.here == size);
}

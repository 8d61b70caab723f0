#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>

namespace rpic {

/// What happened to connections since the master started: one counter for each limit and refusal.
struct Counters {
    std::int64_t accepted = 0;
    std::int64_t accept_paused = 0;           // limits::unauthenticated_peers reached
    std::int64_t accept_no_descriptor = 0;    // EMFILE, ENFILE
    std::int64_t closed_crowded = 0;          // limits::unauthenticated_per_address reached
    std::int64_t closed_unauthenticated = 0;  // too slow to prove who they are
    std::int64_t refused_plain = 0;           // plain frames without --plain
    std::int64_t refused_http = 0;
    std::int64_t refused_noise = 0;  // neither TLS nor plain nor HTTP
    std::int64_t handshake_failed = 0;
    std::int64_t key_refused = 0;
    std::int64_t role_refused = 0;  // a key of the wrong kind for what was asked
    std::int64_t join_refused = 0;
    std::int64_t clients_refused = 0;     // limits::clients reached
    std::int64_t closed_not_reading = 0;  // limits::outbox_hard_bytes or write_stall reached
    std::int64_t broken_frames = 0;
    std::int64_t bad_messages = 0;     // answered bad_message, or logged for plain peers
    std::int64_t requests_failed = 0;  // of clients: answered failed
    std::int64_t clones = 0;           // a second board with the key of a live node
    std::int64_t heartbeats = 0;
    std::int64_t discovery_answered = 0;  // questions of slaves that look for their master
    std::int64_t discovery_refused = 0;   // no question, or of nobody that is known here
    std::int64_t discovery_limited = 0;   // limits::discovery_answers or _per_address reached
};
BOOST_DESCRIBE_STRUCT(Counters, (),
                      (accepted, accept_paused, accept_no_descriptor, closed_crowded,
                       closed_unauthenticated, refused_plain, refused_http, refused_noise,
                       handshake_failed, key_refused, role_refused, join_refused, clients_refused,
                       closed_not_reading, broken_frames, bad_messages, requests_failed, clones,
                       heartbeats, discovery_answered, discovery_refused, discovery_limited))

}  // namespace rpic

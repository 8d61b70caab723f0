#pragma once

#include <boost/asio/awaitable.hpp>

#include "common/messages.hpp"
#include "master/context.hpp"
#include "master/core/effects.hpp"

/// What webservers are told besides the nodes (feed.cpp): jobs, the task stream, events, metrics.
namespace rpic {

/// What `status` answers.
Status status_of(Context& context);

/// Takes note of an effect that viewers will want to see.
void note_for_viewers(Context& context, const Effect& effect);
/// The same for what a node says of attempts that it has.
void note_started(Context& context, const Node& node, const std::vector<AttemptKey>& attempts);
void note_ended(Context& context, const Node& node, const std::vector<AttemptReport>& reports);

/// Tells every webserver what changed, a few times a second, for as long as the master lives. Only
/// what is on disk is told: nobody sees an end that a power cut could still undo.
asio::awaitable<void> feed_viewers(Context& context);

}  // namespace rpic

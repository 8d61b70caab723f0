#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "common/manifest.hpp"
#include "slave/web/exchange.hpp"

/// Blobs between the master and a request. All throw ProblemError or RequestFailedError.
namespace rpic {

/// Sends bytes to the master; gives the name of the blob.
boost::asio::awaitable<std::string> put_bytes(MasterDesk::Visit& visit, std::string bytes);

/// Sends the body of the request, of known length, as a blob of that name; false if the master had
/// all of it already.
boost::asio::awaitable<bool> put_body(MasterDesk::Visit& visit, Exchange& exchange,
                                      std::string blob, std::int64_t size);

/// A list of files.
boost::asio::awaitable<Manifest> get_manifest(MasterDesk::Visit& visit, std::string blob);

/// Answers with the contents of a blob, part by part as fast as the browser reads.
boost::asio::awaitable<void> send_blob(MasterDesk::Visit& visit, Exchange& exchange,
                                       std::string blob, Answer head);

}  // namespace rpic

#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/keys.hpp"

struct ssl_ctx_st;
struct ssl_st;

/// TLS 1.3 with external pre-shared keys (RFC 8446 section 4.2.11, always with a Diffie-Hellman
/// exchange): no certificates, so no clock. OpenSSL is driven by ourselves on the non-blocking
/// socket, because that holds 14 KiB a connection where asio::ssl::stream holds 70.
namespace rpic {

struct FreeSslContext {
    void operator()(ssl_ctx_st* context) const;
};
struct FreeSsl {
    void operator()(ssl_st* ssl) const;
};
using SslHandle = std::unique_ptr<ssl_st, FreeSsl>;

/// Gives the key of an identity, or nothing. Called during handshakes.
using PskLookup = std::function<std::optional<Psk>(std::string_view identity)>;

/// The accepting side. An unknown identity gets a random key, so that it fails exactly as a wrong
/// key does.
class TlsServer {
  public:
    explicit TlsServer(PskLookup lookup);

    /// For one connection. This object must outlive it.
    SslHandle accept(int socket) const;

  private:
    std::unique_ptr<PskLookup> lookup_;
    std::unique_ptr<ssl_ctx_st, FreeSslContext> context_;
};

/// The connecting side, with one key.
class TlsClient {
  public:
    explicit TlsClient(std::string_view key);

    /// For one connection. This object must outlive it.
    SslHandle connect(int socket) const;

  private:
    struct Credentials {
        std::string identity;
        Psk psk;
    };
    std::unique_ptr<Credentials> credentials_;
    std::unique_ptr<ssl_ctx_st, FreeSslContext> context_;
};

/// The identity that the peer of an accepted connection has proved to own.
std::string tls_identity(ssl_st* ssl);

/// What OpenSSL has to say about the operation that just failed, in words; clears its queue.
struct TlsFailure {
    std::string text;
    bool key_refused = false;  // a wrong or unknown key, on either side
};
TlsFailure tls_failure();

}  // namespace rpic

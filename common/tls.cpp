#include "common/tls.hpp"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#if defined(__arm__) || defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <stdexcept>

namespace rpic {

namespace {

/// Both use SHA-256, to which a pre-shared key is bound. Whoever connects says what is quick on its
/// machine: small boards have no AES instructions.
bool has_aes_instructions() {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes");
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
    return false;
#endif
}

constexpr unsigned char chacha20_poly1305_sha256[] = {0x13, 0x03};
constexpr unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};

int context_slot() {
    static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return slot;
}

void free_identity(void*, void* identity, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<std::string*>(identity);
}

int identity_slot() {
    static const int slot = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_identity);
    return slot;
}

std::unique_ptr<ssl_ctx_st, FreeSslContext> make_context(const SSL_METHOD* method) {
    // Machine-wide OpenSSL settings must neither weaken nor break the cluster.
    OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, nullptr);
    std::unique_ptr<ssl_ctx_st, FreeSslContext> context(SSL_CTX_new(method));
    if (!context) throw std::runtime_error("OpenSSL cannot make a context");
    const char* suites = has_aes_instructions()
                             ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
                             : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
    SSL_CTX_set_min_proto_version(context.get(), TLS1_3_VERSION);
    SSL_CTX_set_max_proto_version(context.get(), TLS1_3_VERSION);
    if (SSL_CTX_set_ciphersuites(context.get(), suites) != 1 ||
        SSL_CTX_set1_groups_list(context.get(), "X25519:P-256") != 1)
        throw std::runtime_error("OpenSSL lacks what the cluster needs: " + tls_failure().text);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context.get(), 1);  // one system call a record instead of two
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 0);  // unused tickets cost half of the handshake
    SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    return context;
}

/// A session that stands for a pre-shared key, as SSL_CTX_set_psk_use_session_callback(3) wants it.
SSL_SESSION* make_session(SSL* ssl, const Psk& psk, const unsigned char* suite) {
    const SSL_CIPHER* cipher = SSL_CIPHER_find(ssl, suite);
    SSL_SESSION* session = SSL_SESSION_new();
    if (session == nullptr || cipher == nullptr ||
        SSL_SESSION_set1_master_key(session, psk.data(), psk.size()) != 1 ||
        SSL_SESSION_set_cipher(session, cipher) != 1 ||
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) != 1) {
        SSL_SESSION_free(session);
        return nullptr;
    }
    return session;
}

int find_session(SSL* ssl, const unsigned char* identity, std::size_t length,
                 SSL_SESSION** session) {
    const auto* lookup =
        static_cast<const PskLookup*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_slot()));
    const std::string name(reinterpret_cast<const char*>(identity), length);
    auto psk = (*lookup)(name);
    if (!psk) {
        psk.emplace();
        if (RAND_bytes(psk->data(), static_cast<int>(psk->size())) != 1) return 0;
    }
    delete static_cast<std::string*>(SSL_get_ex_data(ssl, identity_slot()));
    SSL_set_ex_data(ssl, identity_slot(), new std::string(name));
    *session = make_session(ssl, *psk, chacha20_poly1305_sha256);
    return *session != nullptr;
}

}  // namespace

void FreeSslContext::operator()(ssl_ctx_st* context) const {
    SSL_CTX_free(context);
}
void FreeSsl::operator()(ssl_st* ssl) const {
    SSL_free(ssl);
}

TlsServer::TlsServer(PskLookup lookup)
    : lookup_(std::make_unique<PskLookup>(std::move(lookup))),
      context_(make_context(TLS_server_method())) {
    SSL_CTX_set_ex_data(context_.get(), context_slot(), lookup_.get());
    SSL_CTX_set_psk_find_session_callback(context_.get(), &find_session);
}

SslHandle TlsServer::accept(int socket) const {
    SslHandle ssl(SSL_new(context_.get()));
    if (!ssl || SSL_set_fd(ssl.get(), socket) != 1)
        throw std::runtime_error("OpenSSL cannot make a connection");
    SSL_set_accept_state(ssl.get());
    return ssl;
}

TlsClient::TlsClient(std::string_view key)
    : credentials_(std::make_unique<Credentials>(Credentials{key_identity(key), key_psk(key)})),
      context_(make_context(TLS_client_method())) {
    SSL_CTX_set_ex_data(context_.get(), context_slot(), credentials_.get());
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);  // no key, no connection
    SSL_CTX_set_psk_use_session_callback(
        context_.get(),
        [](SSL* ssl, const EVP_MD* digest, const unsigned char** identity, std::size_t* length,
           SSL_SESSION** session) -> int {
            const auto* credentials = static_cast<const Credentials*>(
                SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), context_slot()));
            *session = nullptr;
            if (digest != nullptr && EVP_MD_get_type(digest) != NID_sha256) return 1;
            *session = make_session(
                ssl, credentials->psk,
                has_aes_instructions() ? aes_128_gcm_sha256 : chacha20_poly1305_sha256);
            *identity = reinterpret_cast<const unsigned char*>(credentials->identity.data());
            *length = credentials->identity.size();
            return *session != nullptr;
        });
}

SslHandle TlsClient::connect(int socket) const {
    SslHandle ssl(SSL_new(context_.get()));
    if (!ssl || SSL_set_fd(ssl.get(), socket) != 1)
        throw std::runtime_error("OpenSSL cannot make a connection");
    SSL_set_connect_state(ssl.get());
    return ssl;
}

std::string tls_identity(ssl_st* ssl) {
    const auto* identity = static_cast<const std::string*>(SSL_get_ex_data(ssl, identity_slot()));
    return identity == nullptr ? std::string{} : *identity;
}

TlsFailure tls_failure() {
    TlsFailure failure;
    while (const unsigned long code = ERR_get_error()) {
        const int reason = ERR_GET_REASON(code);
        failure.key_refused |= reason == SSL_R_BINDER_DOES_NOT_VERIFY ||
                               reason == SSL_R_SSLV3_ALERT_ILLEGAL_PARAMETER ||
                               reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE ||
                               reason == SSL_R_TLSV1_ALERT_DECRYPT_ERROR;
        if (const char* text = ERR_reason_error_string(code); failure.text.empty() && text)
            failure.text = text;
    }
    return failure;
}

}  // namespace rpic

#include "slave/web/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "common/errors.hpp"
#include "common/files.hpp"
#include "common/limits.hpp"
#include "common/log.hpp"

namespace rpic {

namespace {

template <auto function>
struct Freed {
    template <class T>
    void operator()(T* pointer) const {
        function(pointer);
    }
};
using X509Ptr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

void check(bool success, const char* what) {
    if (!success) throw ConfigError(std::string("cannot make the web certificate: ") + what);
}

std::string text_of(BIO* bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    return std::string(data, static_cast<std::size_t>(size));
}

std::string fingerprint_of(const X509* certificate) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    check(X509_digest(certificate, EVP_sha256(), digest, &size) == 1, "its fingerprint");
    constexpr char digits[] = "0123456789ABCDEF";
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
        if (i != 0) text += ':';
        text += digits[digest[i] >> 4];
        text += digits[digest[i] & 15];
    }
    return text;
}

void add_extension(X509* certificate, int kind, const std::string& value) {
    const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
    check(extension != nullptr, "an extension");
    check(X509_add_ext(certificate, extension.get(), -1) == 1, "an extension");
}

/// A hostname can hold anything; only what is safe inside an extension's text is named there.
bool is_dns_name(const std::string& name) {
    const auto allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    return !name.empty() && name.size() <= limits::name_chars &&
           name.find_first_not_of(allowed) == std::string::npos;
}

X509Ptr make_certificate(EVP_PKEY* key, const std::string& hostname) {
    X509Ptr certificate(X509_new());
    check(certificate != nullptr, "no memory");
    check(X509_set_version(certificate.get(), X509_VERSION_3) == 1, "its version");
    // Browsers refuse two certificates of one issuer with the same number.
    std::uint64_t serial = 0;
    check(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "no random");
    ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1 | 1);
    ASN1_TIME_set_string(X509_getm_notBefore(certificate.get()), "19700101000000Z");
    ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.get()), "99991231235959Z");
    check(X509_set_pubkey(certificate.get(), key) == 1, "its key");
    X509_NAME* name = X509_get_subject_name(certificate.get());
    const std::string common_name = is_dns_name(hostname) ? hostname : "rpicluster";
    const auto* bytes = reinterpret_cast<const unsigned char*>(common_name.c_str());
    check(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes, -1, -1, 0) == 1, "its name");
    X509_set_issuer_name(certificate.get(), name);
    std::string names = "DNS:localhost,IP:127.0.0.1,IP:::1";
    if (is_dns_name(hostname)) names += ",DNS:" + hostname + ",DNS:" + hostname + ".local";
    add_extension(certificate.get(), NID_subject_alt_name, names);
    add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
    add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature");
    add_extension(certificate.get(), NID_ext_key_usage, "serverAuth");
    check(X509_sign(certificate.get(), key, EVP_sha256()) > 0, "its signature");
    return certificate;
}

WebCertificate make(const std::string& hostname) {
    const KeyPtr key(EVP_EC_gen("P-256"));
    check(key != nullptr, "its key");
    const X509Ptr certificate = make_certificate(key.get(), hostname);
    const BioPtr key_text(BIO_new(BIO_s_mem()));
    const BioPtr certificate_text(BIO_new(BIO_s_mem()));
    check(PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                   nullptr) == 1,
          "the text of its key");
    check(PEM_write_bio_X509(certificate_text.get(), certificate.get()) == 1, "its text");
    return {text_of(certificate_text.get()), text_of(key_text.get()),
            fingerprint_of(certificate.get())};
}

std::optional<WebCertificate> read(const std::filesystem::path& folder) {
    const auto certificate_pem = read_file_if_there(folder / "web.crt", limits::key_file_bytes);
    const auto key_pem = read_file_if_there(folder / "web.key", limits::key_file_bytes);
    if (!certificate_pem || !key_pem) return std::nullopt;
    const auto bio = [](const std::string& text) {
        return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    };
    const X509Ptr certificate(
        PEM_read_bio_X509(bio(*certificate_pem).get(), nullptr, nullptr, nullptr));
    const KeyPtr key(PEM_read_bio_PrivateKey(bio(*key_pem).get(), nullptr, nullptr, nullptr));
    const bool whole = certificate && key && X509_check_private_key(certificate.get(), key.get());
    if (!whole) {
        log_warning("web.crt and web.key in " + folder.string() +
                    " are damaged; making new ones, with a new fingerprint");
        return std::nullopt;
    }
    return WebCertificate{*certificate_pem, *key_pem, fingerprint_of(certificate.get())};
}

}  // namespace

WebCertificate load_certificate(const std::filesystem::path& folder, const std::string& hostname) {
    if (auto found = read(folder)) return *found;
    make_private_folder(folder);
    const WebCertificate made = make(hostname);
    write_secret(folder / "web.key", made.key_pem);
    write_secret(folder / "web.crt", made.certificate_pem);
    return made;
}

}  // namespace rpic

#pragma once

#include <filesystem>
#include <string>

namespace rpic {

/// The certificate of the web page beyond loopback: self-made, EC P-256, valid from 1970 to 9999
/// because boards have no clock at boot. People compare its fingerprint once.
struct WebCertificate {
    std::string certificate_pem;
    std::string key_pem;
    std::string fingerprint;  // SHA-256, "AB:CD:..."
};

/// Reads web.crt and web.key of `folder`; makes and stores them (0600) if they are not there or do
/// not belong together. Throws ConfigError if the folder cannot be written.
WebCertificate load_certificate(const std::filesystem::path& folder, const std::string& hostname);

}  // namespace rpic

#include "slave/web/asset_answer.hpp"

#include <cstdlib>
#include <string>
#include <vector>

#include "common/text.hpp"
#include "slave/web/exchange.hpp"

namespace rpic {

namespace {

/// Accept-Encoding of RFC 9110 section 12.5.3, as far as gzip goes.
bool accepts_gzip(std::string_view accept_encoding) {
    for (const std::string& coding : split(accept_encoding, ',')) {
        const auto parts = split(lower(coding), ';');
        if (parts.empty() || parts[0] != "gzip") continue;
        for (const std::string& part : parts)
            if (part.starts_with("q=") && std::strtod(part.c_str() + 2, nullptr) <= 0) return false;
        return true;
    }
    return false;
}

}  // namespace

Answer asset_answer(const Request& request, const Asset& asset) {
    const bool packed = accepts_gzip(request.accept_encoding);
    const std::string& etag = packed ? asset.packed_etag : asset.etag;
    Answer answer;
    answer.fields.emplace_back("ETag", etag);
    answer.fields.emplace_back("Vary", "Accept-Encoding");
    // Kept by the browser, but asked for each time: after an upgrade no old file may stay.
    answer.fields.emplace_back("Cache-Control", "no-cache");
    if (etag_matches(request.if_none_match, etag)) {
        answer.status = 304;
        return answer;
    }
    answer.fields.emplace_back("Content-Type", std::string(asset.content_type));
    if (packed) answer.fields.emplace_back("Content-Encoding", "gzip");
    answer.embedded = packed ? asset.packed : asset.plain;
    return answer;
}

}  // namespace rpic

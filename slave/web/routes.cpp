#include "slave/web/routes.hpp"

#include <cstdlib>
#include <string>
#include <vector>

#include "common/text.hpp"
#include "slave/web/assets.hpp"
#include "slave/web/view_json.hpp"

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

bool etag_matches(std::string_view if_none_match, std::string_view etag) {
    for (const std::string& entry : split(if_none_match, ',')) {
        std::string_view candidate = entry;
        if (candidate.starts_with("W/")) candidate.remove_prefix(2);
        if (candidate == "*" || candidate == etag) return true;
    }
    return false;
}

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

Answer api_answer(std::string content_type, std::string text) {
    Answer answer;
    answer.fields.emplace_back("Content-Type", std::move(content_type));
    answer.fields.emplace_back("Cache-Control", "no-store");
    answer.text = std::move(text);
    return answer;
}

}  // namespace

Answer route(const Request& request, const ClusterView& view, Instant now) {
    if (request.method != "GET" && request.method != "HEAD") {
        Answer answer = error_answer(405, request.path, "only GET and HEAD are understood");
        answer.fields.emplace_back("Allow", "GET, HEAD");
        return answer;
    }
    if (request.has_body)
        return error_answer(413, request.path, "requests with a body are not accepted");
    if (request.path == "/api/v1/nodes")
        return api_answer("application/json", nodes_json(view, now));
    if (request.path == "/api/v1/master")
        return api_answer("application/json", master_json(view, now));
    if (request.path == "/api/v1/events") {
        Answer answer = api_answer("text/event-stream", "");
        answer.events = true;
        return answer;
    }
    if (const Asset* asset = find_asset(request.path)) return asset_answer(request, *asset);
    return error_answer(404, request.path, "there is nothing here");
}

}  // namespace rpic

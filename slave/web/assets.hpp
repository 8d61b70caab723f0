#pragma once

#include <string>
#include <string_view>

namespace rpic {

/// One file of the page, embedded into the program in both forms.
struct Asset {
    std::string_view content_type;
    std::string_view plain;
    std::string_view packed;  // gzip
    std::string etag;         // of the plain form, with its quotes (RFC 9110 section 8.8.3)
    std::string packed_etag;
};

/// The asset that answers this path of a URL; null if there is none.
const Asset* find_asset(std::string_view path);

}  // namespace rpic

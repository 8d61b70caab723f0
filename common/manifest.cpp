#include "common/manifest.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <numeric>
#include <optional>
#include <set>
#include <unordered_set>

#include "common/limits.hpp"
#include "common/text.hpp"

namespace rpic {

namespace {

namespace json = boost::json;

constexpr std::size_t name_bytes = 255;  // NAME_MAX of every file system of Linux

std::string quoted_path(std::string_view path) {
    return "\"" + printable(path, limits::log_text_chars) + "\"";
}

FileError bad(const std::string& reason) {
    return FileError("bad_request", "a list of files that cannot be used: " + reason);
}

/// Calls `visit` for the parts of a path between its '/', until it gives false.
template <class Visit>
bool every_part(std::string_view path, Visit visit) {
    for (;;) {
        const auto end = std::min(path.find('/'), path.size());
        if (!visit(path.substr(0, end))) return false;
        if (end == path.size()) return true;
        path.remove_prefix(end + 1);
    }
}

int depth_of(std::string_view path) {
    return path.empty() ? 0 : 1 + static_cast<int>(std::count(path.begin(), path.end(), '/'));
}

// --------------------------------------------------------------------------------------- writing

std::string hex_of(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const unsigned char byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

/// The member for a text which may be no UTF-8; the parser is the judge of that.
void append_text(std::string& out, const std::string& name, const std::string& text) {
    const auto plain = json::serialize(json::string(text));
    json::error_code error;
    json::parse(plain, error);
    if (error)
        out += "\"" + name + "_hex\":\"" + hex_of(text) + "\"";
    else
        out += "\"" + name + "\":" + plain;
}

void append_entry(std::string& out, const ManifestEntry& entry) {
    out += '{';
    append_text(out, "path", entry.path);
    if (!entry.link.empty()) {
        out += ',';
        append_text(out, "link", entry.link);
    } else {
        out += ",\"mode\":" + std::to_string(entry.mode);
        if (entry.folder)
            out += ",\"dir\":true";
        else
            out += ",\"size\":" + std::to_string(entry.size) + ",\"blob\":\"" + entry.blob + "\"";
    }
    out += "}\n";
}

// --------------------------------------------------------------------------------------- reading

std::string bytes_of_hex(std::string_view hex) {
    const auto digit = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        throw bad("hex digits that are none");
    };
    if (hex.size() % 2 != 0) throw bad("hex digits of half a byte");
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
    return bytes;
}

std::optional<std::string> text_member(const json::object& object, const std::string& name) {
    const auto text_of = [&](const std::string& member) -> std::optional<std::string> {
        const auto* value = object.if_contains(member);
        if (value == nullptr) return std::nullopt;
        if (!value->is_string()) throw bad("\"" + member + "\" is no text");
        return std::string(value->get_string());
    };
    const auto hex = text_of(name + "_hex");
    auto plain = text_of(name);
    if (hex && plain) throw bad("\"" + name + "\" twice");
    return hex ? bytes_of_hex(*hex) : plain;
}

std::int64_t number_member(const json::object& object, const char* name, std::int64_t most) {
    const auto* value = object.if_contains(name);
    json::error_code error;
    const auto number = value == nullptr ? -1 : value->to_number<std::int64_t>(error);
    if (error || number < 0 || number > most)
        throw bad("\"" + std::string(name) + "\" is missing or out of range");
    return number;
}

ManifestEntry parse_entry(std::string_view line) {
    unsigned char buffer[4096];
    json::monotonic_resource memory(buffer, sizeof buffer);
    json::parse_options options;
    options.max_depth = 4;
    json::error_code error;
    const auto document = json::parse(line, error, &memory, options);
    const auto* object = document.if_object();
    if (error || object == nullptr) throw bad("a line that is no JSON object");
    ManifestEntry entry;
    entry.path = text_member(*object, "path").value_or("");
    if (const auto problem = path_problem(entry.path); !problem.empty())
        throw bad("the path " + quoted_path(entry.path) + " " + problem);
    const auto blob = text_member(*object, "blob");
    const auto link = text_member(*object, "link");
    const auto* folder = object->if_contains("dir");
    entry.folder = folder != nullptr && folder->is_bool() && folder->get_bool();
    if (int{blob.has_value()} + int{link.has_value()} + int{entry.folder} != 1)
        throw bad(quoted_path(entry.path) + " must be one of file, folder and link");
    if (link) {
        if (!link_stays_inside(entry.path, *link))
            throw bad("the link " + quoted_path(entry.path) + " leads out of the folder");
        entry.link = *link;
        return entry;
    }
    entry.mode = static_cast<int>(number_member(*object, "mode", 0777));
    if (entry.folder) return entry;
    if (!is_blob_name(*blob)) throw bad(quoted_path(entry.path) + " has no SHA-256");
    entry.blob = *blob;
    entry.size = number_member(*object, "size", limits::blob_bytes);
    return entry;
}

/// The first entry that lies below a file or link; null if there is none.
const ManifestEntry* below_no_folder(const std::vector<ManifestEntry>& entries) {
    std::unordered_set<std::string_view> ends;
    for (const auto& entry : entries)
        if (!entry.folder) ends.insert(entry.path);
    for (const auto& entry : entries) {
        const std::string_view path = entry.path;
        for (auto at = path.find('/'); at != std::string_view::npos; at = path.find('/', at + 1))
            if (ends.contains(path.substr(0, at))) return &entry;
    }
    return nullptr;
}

}  // namespace

std::int64_t Manifest::total_bytes() const {
    return std::accumulate(entries.begin(), entries.end(), std::int64_t{0},
                           [](std::int64_t sum, const auto& entry) { return sum + entry.size; });
}

std::vector<std::string> Manifest::blobs() const {
    std::set<std::string> names;
    for (const auto& entry : entries)
        if (entry.is_file()) names.insert(entry.blob);
    return {names.begin(), names.end()};
}

std::string path_problem(std::string_view path) {
    if (path.empty()) return "is empty";
    if (path.size() > limits::path_bytes)
        return "is longer than " + std::to_string(limits::path_bytes) + " bytes";
    if (path.front() == '/') return "is absolute";
    if (path.find('\0') != std::string_view::npos) return "has a NUL in it";
    if (depth_of(path) > limits::folder_depth)
        return "is nested deeper than " + std::to_string(limits::folder_depth) + " folders";
    std::string problem;
    every_part(path, [&](std::string_view part) {
        if (part.empty()) problem = "has an empty part";
        if (part == "." || part == "..") problem = "has the part \"" + std::string(part) + "\"";
        if (part.size() > name_bytes) problem = "has a name longer than 255 bytes";
        return problem.empty();
    });
    return problem;
}

bool link_stays_inside(std::string_view path, std::string_view target, std::string_view top) {
    if (target.empty() || target.front() == '/' || target.size() > limits::path_bytes) return false;
    if (target.find('\0') != std::string_view::npos) return false;
    // With every ".." in front, each leads from one real folder to the one above, and the names
    // after that only downwards or over another link of the same kind.
    int above = depth_of(path) - 1 - depth_of(top);
    bool names = false;
    return every_part(target, [&](std::string_view part) {
        if (part.empty() || part == ".") return true;
        if (part != "..") return names = true;
        return !names && --above >= 0;
    });
}

void put_in_order(Manifest& manifest) {
    auto& entries = manifest.entries;
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return a.path < b.path; });
    const auto same = [](const ManifestEntry& a, const ManifestEntry& b) {
        if (a.path != b.path) return false;
        if (a == b || (a.folder && b.folder)) return true;
        throw FileError("conflict", "two different files are to become " + quoted_path(a.path) +
                                        ": name one of them otherwise");
    };
    entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
    if (const auto* entry = below_no_folder(entries))
        throw FileError("conflict", quoted_path(entry->path) +
                                        " would lie in a folder of which another name is a file");
}

std::string format_manifest(const Manifest& manifest) {
    if (manifest.entries.size() > limits::manifest_entries)
        throw FileError("bad_request", "more than " + std::to_string(limits::manifest_entries) +
                                           " files: pack them into an archive");
    std::string text;
    for (const auto& entry : manifest.entries) append_entry(text, entry);
    if (text.size() > limits::manifest_bytes)
        throw FileError("bad_request", "the names of the files take more than " +
                                           format_size(limits::manifest_bytes) +
                                           ": pack them into an archive");
    return text;
}

Manifest parse_manifest(std::string_view text) {
    if (text.size() > limits::manifest_bytes) throw bad("it is too large");
    Manifest manifest;
    while (!text.empty()) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) throw bad("its last line has no end");
        if (manifest.entries.size() == limits::manifest_entries) throw bad("it has too many files");
        auto entry = parse_entry(text.substr(0, end));
        if (!manifest.entries.empty() && manifest.entries.back().path >= entry.path)
            throw bad(quoted_path(entry.path) + " is there twice or out of order");
        manifest.entries.push_back(std::move(entry));
        text.remove_prefix(end + 1);
    }
    if (const auto* entry = below_no_folder(manifest.entries))
        throw bad(quoted_path(entry->path) + " lies below a file or link");
    return manifest;
}

}  // namespace rpic

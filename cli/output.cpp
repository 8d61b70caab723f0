#include "cli/output.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace rpic {

namespace {

bool colours_wanted() {
    static const bool wanted = [] {
        const char* no_colour = std::getenv("NO_COLOR");
        return ::isatty(1) == 1 && (no_colour == nullptr || *no_colour == '\0');
    }();
    return wanted;
}

/// Characters, not bytes: what a column is wide.
std::size_t columns_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    }));
}

}  // namespace

std::string coloured(const std::string& text, Colour colour) {
    if (colour == Colour::none || !colours_wanted()) return text;
    const char* code = colour == Colour::good      ? "32"
                       : colour == Colour::warning ? "33"
                       : colour == Colour::bad     ? "31"
                                                   : "2";
    return std::string("\x1b[") + code + "m" + text + "\x1b[0m";
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

Table::Table(std::vector<std::string> header) {
    std::vector<Cell> row;
    for (auto& name : header) row.push_back({std::move(name), Colour::dim});
    rows_.push_back(std::move(row));
}

void Table::print() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths.resize(std::max(widths.size(), i + 1));
            widths[i] = std::max(widths[i], columns_of(row[i].text));
        }
    for (const auto& row : rows_) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i) {
            line += coloured(row[i].text, row[i].colour);
            if (i + 1 < row.size())
                line += std::string(widths[i] - columns_of(row[i].text) + 2, ' ');
        }
        std::printf("%s\n", line.c_str());
    }
}

void write_now(std::FILE* file, std::string_view bytes) {
    const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
    if (!written || std::fflush(file) != 0)
        throw OutputClosedError(std::string("cannot write the output: ") + std::strerror(errno));
}

void print_json(json::object value) {
    json::object with_version;
    with_version["version"] = 1;
    for (auto& member : value) with_version[member.key()] = std::move(member.value());
    print_json_line(with_version);
}

void print_json_line(const json::value& value) {
    const auto text = json::serialize(value);
    std::printf("%s\n", text.c_str());
}

}  // namespace rpic

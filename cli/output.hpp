#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.hpp"

namespace rpic {

enum class Format { table, wide, json, jsonl };

/// Colours of text on a terminal; none where output is piped or NO_COLOR is set (no-color.org).
enum class Colour { none, good, warning, bad, dim };
std::string coloured(const std::string& text, Colour colour);

/// "-" stands in a table for what is not there.
std::string or_dash(const std::string& text);

/// Columns under an upper-case header, without borders; the last column is never padded.
class Table {
  public:
    explicit Table(std::vector<std::string> header);
    struct Cell {
        std::string text;
        Colour colour = Colour::none;
    };
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    void print() const;

  private:
    std::vector<std::vector<Cell>> rows_;
};

/// Nobody takes the output any more: `rpicluster logs 7 | head`.
class OutputClosedError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

/// Writes at once. Throws OutputClosedError.
void write_now(std::FILE* file, std::string_view bytes);

/// Exactly one JSON value, {"version":1, ...}.
void print_json(json::object value);

/// One JSON value a line.
void print_json_line(const json::value& value);

}  // namespace rpic

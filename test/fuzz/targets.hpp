#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

/// What is fuzzed: each function takes any bytes, hands them to the code that reads them from a
/// stranger, and throws Violation if what must hold for any input does not. libFuzzer calls them
/// with bytes of its own (main.cpp), the unit tests with those of the corpus.
namespace rpic::fuzz {

class Violation : public std::logic_error {
    using std::logic_error::logic_error;
};

inline void expect(bool holds, const char* what) {
    if (!holds) throw Violation(what);
}

/// Messages for people are one line, whatever they quote.
inline void expect_one_line(std::string_view text) {
    expect(!text.empty(), "an error without words");
    expect(text.find_first_of("\r\n") == std::string_view::npos, "an error of several lines");
}

/// Takes one byte off the front, which says how the rest is used; 0 if there is none.
inline unsigned take_byte(std::string_view& input) {
    if (input.empty()) return 0;
    const auto byte = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
    return byte;
}

void fuzz_config(std::string_view input);
void fuzz_discovery(std::string_view input);
void fuzz_frame(std::string_view input);
void fuzz_http(std::string_view input);
void fuzz_job_file(std::string_view input);
void fuzz_lines(std::string_view input);
void fuzz_manifest(std::string_view input);
void fuzz_message(std::string_view input);
void fuzz_spool(std::string_view input);
void fuzz_store(std::string_view input);
void fuzz_where(std::string_view input);
void fuzz_words(std::string_view input);

}  // namespace rpic::fuzz

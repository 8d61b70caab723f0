#include "master/store/lines.hpp"

#include "common/errors.hpp"
#include "common/output.hpp"
#include "test/fuzz/targets.hpp"

namespace rpic::fuzz {

namespace {

/// What can be read comes back as it was when it is written again.
void read_results(std::string_view input) {
    std::string written;
    std::int64_t count = 0;
    try {
        ResultLineReader reader(1, input);
        ResultLineWriter writer;
        TaskResult result;
        OutputPlace place;
        for (; reader.next(result, place); ++count) writer.append(written, result, place);
    } catch (const std::runtime_error& error) {
        expect_one_line(error.what());
    }
    ResultLineReader reader(1, written);
    TaskResult result;
    OutputPlace place;
    std::string again;
    ResultLineWriter writer;
    for (; reader.next(result, place); --count) writer.append(again, result, place);
    expect(count == 0, "results are more or fewer after they were written");
    expect(again == written, "a result changes when it is written");
}

void read_ends(std::string_view input) {
    try {
        ResultLineReader reader(1, input);
        ResultEnd end;
        while (reader.next_end(end)) {
            expect(end.attempt >= 0, "a negative attempt");
            expect(end.round >= 0, "a negative round");
        }
    } catch (const std::runtime_error& error) {
        expect_one_line(error.what());
    }
}

void read_task(std::string_view input) {
    TaskRecord record;
    try {
        record = task_of_line(1, 2, input);
    } catch (const std::runtime_error& error) {
        expect_one_line(error.what());
        return;
    }
    const auto line = task_line(record);
    expect(task_line(task_of_line(1, 2, line)) == line, "a task changes when it is written");
}

std::string read_output(std::string_view input, std::size_t piece) {
    std::string text;
    OutputReader reader;
    const auto sink = [&](OutputStream stream, std::string_view bytes) {
        text += static_cast<char>(stream);
        text += bytes;
    };
    try {
        for (std::size_t at = 0; at < input.size(); at += piece)
            reader.feed(input.substr(at, piece), sink);
    } catch (const BadMessageError& error) {
        expect_one_line(error.what());
    }
    return text;
}

}  // namespace

/// Lines of the store, and output as it travels and is kept.
void fuzz_lines(std::string_view input) {
    switch (take_byte(input) % 4) {
        case 0:
            return read_results(input);
        case 1:
            return read_ends(input);
        case 2:
            return read_task(input);
        default:
            expect(read_output(input, 1).size() >= read_output(input, 4096).size(),
                   "output gets lost in small pieces");
    }
}

}  // namespace rpic::fuzz

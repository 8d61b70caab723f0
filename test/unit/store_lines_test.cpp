#include <catch2/catch.hpp>

#include "common/limits.hpp"
#include "master/store/lines.hpp"

using namespace rpic;

namespace {

TaskResult done_result(Position position) {
    TaskResult result;
    result.job = 7;
    result.position = position;
    result.state = "done";
    result.node = "pi-04";
    result.attempt = 1;
    result.exit_code = 0;
    result.started_at_ms = 1'772'366'400'123 + position;
    result.duration_seconds = 0.001834;
    result.cpu_seconds = 0.0012;
    result.max_rss_bytes = 1'712 * 1024;
    return result;
}

void check_equal(const TaskResult& left, const TaskResult& right) {
    CHECK(left.job == right.job);
    CHECK(left.position == right.position);
    CHECK(left.state == right.state);
    CHECK(left.node == right.node);
    CHECK(left.attempt == right.attempt);
    CHECK(left.round == right.round);
    CHECK(left.exit_code == right.exit_code);
    CHECK(left.signal == right.signal);
    CHECK(left.reason == right.reason);
    CHECK(left.started_at_ms == right.started_at_ms);
    CHECK(left.duration_seconds == Approx(right.duration_seconds));
    CHECK(left.cpu_seconds == Approx(right.cpu_seconds));
    CHECK(left.max_rss_bytes == right.max_rss_bytes);
    CHECK(left.output_bytes == right.output_bytes);
    CHECK(left.output_blob == right.output_blob);
    CHECK(left.files == right.files);
}

/// One of each kind.
void make_results(std::vector<TaskResult>& results, std::vector<OutputPlace>& places) {
    results.push_back(done_result(0));
    places.emplace_back();

    auto with_output = done_result(999'999);
    with_output.output_bytes = 50;
    results.push_back(with_output);
    places.push_back({OutputPlace::In::segment, 3, 1'000'000, 50});

    auto small = done_result(5);
    small.node = "other";
    small.output_bytes = 7;
    results.push_back(small);
    places.push_back({OutputPlace::In::row, 0, 12, 7});

    auto failed = done_result(6);
    failed.state = "failed";
    failed.exit_code = 137;
    failed.signal = 9;
    failed.reason = "  it %41 used\nmore = than - it may\\ \x01 größe ";
    failed.output_bytes = 100'000;
    failed.output_blob = std::string(64, 'a');
    failed.files = std::string(64, 'b');
    results.push_back(failed);
    places.emplace_back();

    auto signalled = done_result(8);
    signalled.state = "failed";
    signalled.exit_code.reset();
    signalled.signal = 15;
    results.push_back(signalled);
    places.emplace_back();
    signalled.round = 12;
    results.push_back(signalled);
    places.emplace_back();
    signalled.exit_code = 137;
    results.push_back(signalled);
    places.emplace_back();

    TaskResult never_ran;
    never_ran.job = 7;
    never_ran.position = 9;
    never_ran.state = "cancelled";
    results.push_back(never_ran);
    places.emplace_back();

    for (const auto* strange : {"=", "-", "a b\n", "%", "--", "x\x7f"}) {
        auto result = done_result(10);
        result.node = strange;
        result.exit_code = -1;
        results.push_back(result);
        places.emplace_back();
    }
}

}  // namespace

TEST_CASE("results come back from their lines") {
    std::vector<TaskResult> results;
    std::vector<OutputPlace> places;
    make_results(results, places);
    std::string lines;
    ResultLineWriter writer;
    for (std::size_t i = 0; i < results.size(); ++i) writer.append(lines, results[i], places[i]);

    ResultLineReader reader(7, lines);
    for (std::size_t i = 0; i < results.size(); ++i) {
        TaskResult result;
        OutputPlace place;
        INFO(i);
        REQUIRE(reader.next(result, place));
        check_equal(result, results[i]);
        CHECK(place == places[i]);
    }
    TaskResult result;
    OutputPlace place;
    CHECK_FALSE(reader.next(result, place));

    ResultLineReader quick(7, lines);
    for (const auto& expected : results) {
        ResultEnd end;
        REQUIRE(quick.next_end(end));
        CHECK(end.position == expected.position);
        CHECK(end.attempt == expected.attempt);
        CHECK(end.round == expected.round);
        CHECK(state_name(end.state) == expected.state);
    }
}

TEST_CASE("a result costs some forty bytes") {
    std::string lines;
    ResultLineWriter writer;
    for (Position position = 500'000; position < 500'015; ++position)
        writer.append(lines, done_result(position), {});
    CHECK(lines.size() / 15 <= 40);
}

TEST_CASE("times that cannot be are written as something that can") {
    auto result = done_result(1);
    result.duration_seconds = -1;
    result.cpu_seconds = 1e300;
    result.started_at_ms = -5;
    std::string lines;
    ResultLineWriter().append(lines, result, {});
    TaskResult read;
    OutputPlace place;
    REQUIRE(ResultLineReader(7, lines).next(read, place));
    CHECK(read.duration_seconds == 0);
    CHECK(read.cpu_seconds == 1e9);
    CHECK(read.started_at_ms == -5);
}

TEST_CASE("damaged lines of results are refused") {
    std::string whole;
    auto good = done_result(3);
    good.output_bytes = 9;
    ResultLineWriter().append(whole, good, {OutputPlace::In::segment, 1, 2, 9});
    const auto refused = [](std::string_view lines) {
        TaskResult result;
        OutputPlace place;
        CHECK_THROWS_AS(ResultLineReader(1, lines).next(result, place), std::runtime_error);
    };
    for (const auto* text : {"\n", "x\n", "3\n", "3 q\n", "3 dx 1 n 1 1 1 1\n", "3 d 1 n 1 1 1\n",
                             "3 dy 1 n 1 1 1 1\n", "3 d 1 n%4 1 1 1 1\n", "3 d 1 n%zz 1 1 1 1\n",
                             "3 d 1 n 1 1 1 1 q\n", "3 d 1 n 1 1 1 1 o1:2\n",
                             "3 d 1 n 1 1 1 1 o1:-2:3\n", "3 d 99999999999999999999 n 1 1 1 1\n"}) {
        INFO(text);
        refused(text);
    }
    // Cut anywhere before its last field is whole, the line is refused or reads as a shorter one.
    for (std::size_t size = 1; size < whole.size(); ++size) {
        TaskResult result;
        OutputPlace place;
        try {
            ResultLineReader(7, std::string_view(whole).substr(0, size)).next(result, place);
        } catch (const std::runtime_error&) {
        }
    }
}

TEST_CASE("begun tasks come back from their lines") {
    TaskRecord record;
    record.job = 12;
    record.position = 999'999;
    SECTION("nothing but a number") {
        record.last_attempt = 4;
    }
    SECTION("all of it") {
        record.last_attempt = 2'000'001;
        record.failures = 3;
        record.deaths = 2;
        record.cancelled = true;
        record.avoid = "0123456789abcdef0123456789abcdef";
        record.live = {{2'000'000, "aa bb", 1'772'366'400}, {2'000'001, "", 0}};
    }
    CHECK(task_of_line(12, 999'999, task_line(record)) == record);
}

TEST_CASE("damaged lines of tasks are refused") {
    for (const auto* line : {"", "1", "1 2", "1 2 x 0 ", "1 2 3", "1 2 3 0 a 4", "1 2 3 0 a 4 b",
                             "1 2 3 0 a 1 b 1 2 b 2 3 b 3"}) {
        INFO(line);
        CHECK_THROWS_AS(task_of_line(1, 1, line), std::runtime_error);
    }
}

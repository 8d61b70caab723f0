#include <catch2/catch.hpp>

#include "cli/exit_codes.hpp"
#include "cli/finished_tasks.hpp"
#include "cli/fold.hpp"
#include "cli/gather.hpp"
#include "cli/items.hpp"
#include "cli/progress.hpp"
#include "cli/top_picture.hpp"
#include "common/errors.hpp"
#include "common/limits.hpp"
#include "common/task_output.hpp"
#include "common/utf8.hpp"

using namespace rpic;

namespace {

TaskView task(std::int64_t index, const std::string& state) {
    TaskView view;
    view.index = index;
    view.state = state;
    return view;
}

std::vector<std::int64_t> indices(const std::vector<TaskView>& tasks) {
    std::vector<std::int64_t> numbers;
    for (const auto& each : tasks) numbers.push_back(each.index);
    return numbers;
}

}  // namespace

TEST_CASE("exit codes of tasks", "[cli]") {
    auto view = task(0, "failed");
    CHECK(exit_code::of_task(view) == 125);
    view.signal = 9;
    CHECK(exit_code::of_task(view) == 137);
    view.exit_code = 124;
    CHECK(exit_code::of_task(view) == 124);
    CHECK(exit_code::of_task(task(0, "done")) == 0);
    CHECK(exit_code::of_task(task(0, "cancelled")) == 125);
}

TEST_CASE("exit codes of many tasks", "[cli]") {
    CHECK(exit_code::of_tasks(0, 0) == 0);
    CHECK(exit_code::of_tasks(3, 97) == 3);
    CHECK(exit_code::of_tasks(100, 0) == 100);
    CHECK(exit_code::of_tasks(101, 0) == 101);
    CHECK(exit_code::of_tasks(1'000'000, 0) == 101);
    CHECK(exit_code::of_tasks(0, 2) == 2);
}

TEST_CASE("lines become items however the file is cut", "[cli]") {
    const std::string file = "a\nb c\r\n\nlast";
    for (std::size_t step = 1; step <= file.size(); ++step) {
        ItemList items;
        for (std::size_t i = 0; i < file.size(); i += step)
            items.feed_lines(std::string_view(file).substr(i, step));
        items.end_lines();
        CHECK(items.count() == 4);
        CHECK(items.bytes() == std::string("a\0b c\0\0last\0", 12));
    }
}

TEST_CASE("items that cannot travel are refused by their number", "[cli]") {
    const auto refuse = [](const std::string& lines, const std::string& part) {
        ItemList items;
        try {
            items.feed_lines(lines);
            items.end_lines();
            FAIL("was taken");
        } catch (const UsageError& error) {
            CHECK(std::string(error.what()).find(part) != std::string::npos);
        }
    };
    refuse("good\n\xff\n", "item 2");
    refuse(std::string("a\0b\n", 4), "NUL");
    refuse(std::string(limits::item_bytes + 1, 'x') + "\n", "longer than 8");
    refuse(std::string(limits::item_bytes * 3, 'x'), "longer than 8");
    ItemList items;
    items.feed_lines(std::string(limits::item_bytes, 'x') + "\r\n");
    CHECK(items.count() == 1);
}

TEST_CASE("text that is not UTF-8 is mended", "[cli]") {
    CHECK(is_utf8("größe €"));
    for (const char* bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
        CHECK_FALSE(is_utf8(bad));
    CHECK(as_utf8("a\xff"
                  "b") ==
          "a\xEF\xBF\xBD"
          "b");
    CHECK(incomplete_tail("a\xe2\x82") == 2);
    CHECK(incomplete_tail("a€") == 0);
    CHECK(incomplete_tail("\xf0") == 1);
    CHECK(incomplete_tail("") == 0);
}

TEST_CASE("output is taken once, whatever comes twice or is cut", "[cli]") {
    std::string records;
    append_output(records, OutputStream::out, "hello");
    append_output(records, OutputStream::err, "oh");
    std::string seen;
    const auto sink = [&](OutputStream, std::string_view bytes) { seen += bytes; };
    TaskOutput output(7, 3);
    Output answer;
    output.take(answer, "", sink);  // has not started
    CHECK(output.request(true).offset == 0);
    answer.attempt = 1;
    output.take(answer, std::string_view(records).substr(0, 8), sink);
    CHECK(output.request(true).offset == 8);
    CHECK(seen == "hel");
    output.take(answer, std::string_view(records).substr(0, 9), sink);  // the begin comes again
    CHECK(seen == "hell");
    answer.offset = 9;
    answer.complete = true;
    output.take(answer, std::string_view(records).substr(9), sink);
    CHECK(seen == "hellooh");
    CHECK(output.complete());
    CHECK_FALSE(output.ended());
    answer.offset = static_cast<std::int64_t>(records.size());
    answer.final = true;
    output.take(answer, "", sink);
    CHECK(output.ended());
}

TEST_CASE("another attempt is read from its start", "[cli]") {
    std::string records;
    append_output(records, OutputStream::out, "abc");
    std::string seen;
    const auto sink = [&](OutputStream, std::string_view bytes) { seen += bytes; };
    TaskOutput output(7, 0);
    Output answer;
    answer.attempt = 1;
    output.take(answer, std::string_view(records).substr(0, 6), sink);
    answer.attempt = 2;
    answer.offset = 6;
    CHECK(output.begins_anew(answer));
    output.take(answer, std::string_view(records).substr(6), sink);
    CHECK(output.request(false).offset == 0);
    answer.offset = 0;
    CHECK_FALSE(output.begins_anew(answer));
    output.take(answer, records, sink);
    CHECK(seen == "aabc");
}

TEST_CASE("finished tasks are found once each, without asking for all", "[cli]") {
    FinishedTasks finished("7");
    std::vector<TaskView> found;
    finished.begin_look();
    auto request = finished.next_request();
    REQUIRE(request);
    CHECK(request->after == -1);
    finished.take({task(0, "running"), task(1, "done"), task(2, "queued"), task(3, "failed"),
                   task(4, "running"), task(5, "queued")},
                  std::nullopt, found);
    CHECK(indices(found) == std::vector<std::int64_t>{1, 3});
    CHECK_FALSE(finished.next_request());
    CHECK(finished.all_ended_before(0));
    CHECK_FALSE(finished.all_ended_before(1));
    CHECK_FALSE(finished.all_ended());

    found.clear();
    finished.begin_look();
    request = finished.next_request();
    REQUIRE(request);
    CHECK(request->tasks == "0,2");
    finished.take({task(0, "done"), task(2, "running")}, std::nullopt, found);
    request = finished.next_request();
    REQUIRE(request);
    CHECK(request->tasks.empty());
    CHECK(request->after == 3);
    finished.take({task(4, "done"), task(5, "done")}, 5, found);
    request = finished.next_request();  // the page ended with a finished task: there may be more
    REQUIRE(request);
    CHECK(request->after == 5);
    finished.take({task(6, "queued")}, std::nullopt, found);
    CHECK_FALSE(finished.next_request());
    CHECK(indices(found) == std::vector<std::int64_t>{0, 4, 5});
    CHECK(finished.all_ended_before(2));
    CHECK_FALSE(finished.all_ended_before(4));
}

TEST_CASE("of chosen tasks those that have ended are found, and when all have", "[cli]") {
    FinishedTasks finished("7", "2-4");
    std::vector<TaskView> found;
    finished.begin_look();
    CHECK_FALSE(finished.all_ended());
    auto request = finished.next_request();
    REQUIRE(request);
    CHECK(request->tasks == "2-4");
    finished.take({task(2, "running"), task(3, "done"), task(4, "queued")}, std::nullopt, found);
    CHECK_FALSE(finished.next_request());
    CHECK_FALSE(finished.all_ended());

    finished.begin_look();
    CHECK(finished.next_request()->tasks == "2");
    finished.take({task(2, "done")}, std::nullopt, found);
    request = finished.next_request();
    REQUIRE(request);
    CHECK(request->tasks == "2-4");
    CHECK(request->after == 3);
    finished.take({task(4, "running")}, std::nullopt, found);
    CHECK_FALSE(finished.next_request());
    CHECK_FALSE(finished.all_ended());

    finished.begin_look();
    REQUIRE(finished.next_request());
    finished.take({task(4, "failed")}, std::nullopt, found);
    CHECK_FALSE(finished.next_request());
    CHECK(finished.all_ended());
    CHECK(indices(found) == std::vector<std::int64_t>{3, 2, 4});
}

TEST_CASE("equal outputs of nodes are folded", "[cli]") {
    std::vector<NodeOutput> outputs(4);
    for (int i = 0; i < 4; ++i) {
        auto& output = outputs[static_cast<std::size_t>(i)];
        output.node = "pi" + std::to_string(i + 1);
        output.out = "same\n";
    }
    outputs[1].code = 1;
    const auto folded = fold_outputs(outputs);
    REQUIRE(folded.size() == 2);
    CHECK(fold_header(folded[0]) == "pi[1,3,4] (3):");
    CHECK(fold_header(folded[1]) == "pi2 (1): exit code 1");
    outputs[3].cut = true;
    CHECK(fold_outputs(outputs).size() == 3);
}

TEST_CASE("nodes that are waited for are named with the reason", "[cli]") {
    CHECK(awaited_text({}).empty());
    CHECK(awaited_text({{"pi2", Holdup::lost}}) == "pi2, which is lost");
    CHECK(awaited_text({{"pi4", Holdup::runs}, {"pi2", Holdup::lost}, {"pi3", Holdup::runs}}) ==
          "pi2, which is lost, and for pi[3,4], which still run it");
}

TEST_CASE("the progress line counts, and estimates from what was seen", "[cli]") {
    JobView job;
    job.state = "running";
    job.nodes = 3;
    job.tasks = {{"queued", 90}, {"running", 10}, {"done", 0}, {"failed", 0}};
    JobProgress progress;
    const Instant start{};
    CHECK(progress.text(job, start) == "0/100 done, 3 nodes");
    job.tasks = {{"queued", 50}, {"running", 10}, {"done", 38}, {"failed", 2}};
    CHECK(progress.text(job, start + std::chrono::seconds(10)) ==
          "38/100 done, 2 failed, 4.0/s, 15s left, 3 nodes");
    job.tasks = {{"done", 98}, {"failed", 2}};
    job.nodes = 0;
    job.state = "failed";
    CHECK(progress.text(job, start + std::chrono::seconds(20)) == "98/100 done, 2 failed, 5.0/s");
}

TEST_CASE("lines are cut at a character", "[cli]") {
    CHECK(cut_to_width("größe", 3) == "grö");
    CHECK(cut_to_width("abc", 9) == "abc");
}

TEST_CASE("a prefix stands before each line, however the text is cut", "[cli]") {
    bool begin = true;
    std::string text;
    for (const char* piece : {"a\nb", "c\n", "d"}) text += with_prefix(piece, "3: ", begin);
    CHECK(text == "3: a\n3: bc\n3: d");
}

TEST_CASE("the picture of top fits the screen", "[cli]") {
    TopView view;
    for (int i = 0; i < 100; ++i) {
        NodeView node;
        node.name = "node-" + std::to_string(i);
        node.state = "online";
        view.nodes.push_back(node);
        JobView job;
        job.id = std::to_string(i);
        view.jobs.push_back(job);
    }
    for (const std::size_t height : {1U, 5U, 24U, 300U}) {
        const auto lines = top_picture(view, 60, height);
        CHECK(lines.size() <= height);
        for (const auto& line : lines) CHECK(line.size() <= 60);
    }
}

#include "master/store/retention.hpp"

#include <catch2/catch.hpp>

#include "common/self_stats.hpp"

using namespace rpic;
using Ids = std::vector<JobId>;

namespace {

constexpr std::int64_t day = 24 * 3600;

}  // namespace

TEST_CASE("jobs within all limits are kept") {
    CHECK(jobs_to_drop({}, {}).empty());
    CHECK(jobs_to_drop({{1, 30 * day, 100}, {2, 0, 100}}, {}).empty());
}

TEST_CASE("jobs older than the limit are dropped, the oldest first") {
    const std::vector<EndedJob> ended = {
        {1, 31 * day, 0}, {2, 29 * day, 0}, {3, 33 * day, 0}, {4, 31 * day, 0}};
    CHECK(jobs_to_drop(ended, {}) == Ids{3, 1, 4});
    CHECK(jobs_to_drop(ended, {}, 1) == Ids{3});
}

TEST_CASE("more ended jobs than the limit cost the oldest their place") {
    RetentionLimits limits;
    limits.jobs = 2;
    CHECK(jobs_to_drop({{1, 10, 0}, {2, 30, 0}, {3, 20, 0}, {4, 5, 0}}, limits) == Ids{2, 3});
    limits.jobs = 0;
    CHECK(jobs_to_drop({{1, 10, 0}, {2, 30, 0}}, limits) == Ids{2, 1});
}

TEST_CASE("files above the limit cost the oldest jobs that have some, until enough are gone") {
    const std::vector<EndedJob> ended = {{1, 50, 0}, {2, 40, 0}, {3, 30, 0}, {4, 20, 0}};
    const std::map<std::string, std::int64_t> sizes = {{"a", 10}, {"b", 20}, {"c", 30}, {"d", 5}};
    // Job 1 has no files, 9 still runs.
    const BlobsOfJobs blobs = {
        {2, {{"a", "b"}, {}}}, {3, {{"b", "d"}, {}}}, {4, {{"c"}, {}}}, {9, {{"d"}, {}}}};
    CHECK(jobs_to_free(ended, blobs, {}, sizes, 0).empty());
    CHECK(jobs_to_free(ended, blobs, {}, sizes, 10) == Ids{2});
    CHECK(jobs_to_free(ended, blobs, {}, sizes, 11) == Ids{2, 3});  // both have b
    CHECK(jobs_to_free(ended, blobs, {}, sizes, 30) == Ids{2, 3});
    CHECK(jobs_to_free(ended, blobs, {}, sizes, 31) == Ids{2, 3, 4});
    const BlobsOfJobs shared = {{3, {{"d"}, {}}}, {9, {{"d"}, {}}}};
    CHECK(jobs_to_free(ended, shared, {}, sizes, 100).empty());
    const BlobsOfJobs evicted = {{3, {{"evicted"}, {}}}};
    CHECK(jobs_to_free(ended, evicted, {}, sizes, 100).empty());
}

TEST_CASE("files in a list of files count as those that a job names itself") {
    const std::vector<EndedJob> ended = {{1, 50, 0}, {2, 40, 0}, {3, 30, 0}};
    const std::map<std::string, std::int64_t> sizes = {{"a", 10}, {"b", 20}, {"list", 1}};
    FileLists lists;
    lists.add("list", {"a", "b"});
    lists.add("other", {"b"});
    // Both lists of job 2 name b, and so does what it printed.
    const BlobsOfJobs blobs = {{2, {{"b"}, {"list", "other"}}}, {3, {{}, {"other"}}}};
    CHECK(named_blobs(blobs, lists) == std::set<std::string>{"a", "b", "list", "other"});
    CHECK(jobs_to_free(ended, blobs, lists, sizes, 11) == Ids{2});
    CHECK(jobs_to_free(ended, blobs, lists, sizes, 12) == Ids{2, 3});
    CHECK(named_blobs(blobs, {}) == std::set<std::string>{"b", "list", "other"});
}

TEST_CASE("a list that many jobs name is kept once") {
    std::vector<std::string> files;
    std::map<std::string, std::int64_t> sizes;
    for (int i = 0; i < 2000; ++i) {
        files.push_back("file " + std::to_string(i));
        sizes[files.back()] = 1;
    }
    FileLists lists;
    lists.add("list", files);
    BlobsOfJobs blobs;
    std::vector<EndedJob> ended;
    for (JobId id = 1; id <= 2000; ++id) {
        blobs[id].lists = {"list"};
        ended.push_back({id, 10, 0});
    }
    CHECK(lists.size() == files.size());
    CHECK(named_blobs(blobs, lists).size() == files.size() + 1);
    [[maybe_unused]] const auto before = own_rss_bytes();
    CHECK(jobs_to_free(ended, blobs, lists, sizes, 1).size() == ended.size());
#ifndef __SANITIZE_ADDRESS__  // which keeps for a while what is given back
    CHECK(own_rss_bytes() - before < 16 * 1024 * 1024);
#endif
}

TEST_CASE("lists that no job names any more are forgotten, and the files in them alone") {
    FileLists lists;
    lists.add("one", {"a", "b"});
    lists.add("two", {"b", "c"});
    lists.add("two", {"something else"});  // what a blob holds never changes
    lists.add("none", {});
    CHECK(lists.size() == 3);
    lists.keep_only({"two", "never read"});
    CHECK_FALSE(lists.knows("one"));
    CHECK_FALSE(lists.knows("none"));
    CHECK_FALSE(lists.knows("never read"));
    CHECK(lists.size() == 2);
    std::vector<std::string> files;
    lists.visit_files("two", [&](const std::string& file) { files.push_back(file); });
    CHECK(files == std::vector<std::string>{"b", "c"});
}

TEST_CASE("outputs above the limit cost the oldest jobs, until enough are gone") {
    RetentionLimits limits;
    limits.output_bytes = 100;
    const std::vector<EndedJob> ended = {{1, 40, 30}, {2, 30, 60}, {3, 20, 50}, {4, 10, 40}};
    CHECK(jobs_to_drop(ended, limits) == Ids{1, 2});
    limits.output_bytes = 180;
    CHECK(jobs_to_drop(ended, limits).empty());
}

#include <boost/crc.hpp>
#include <set>
#include <string>

#include "common/errors.hpp"
#include "slave/runner/keyed_records.hpp"
#include "test/fuzz/targets.hpp"
#include "test/temporary_folder.hpp"

namespace rpic::fuzz {

namespace {

void append_number(std::string& bytes, std::uint32_t number) {
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(number >> 8 * i);
}

/// Records with the right lengths and checksums, one of each part of the input: as a runner wrote
/// that was no runner of ours.
std::string sealed(std::string_view input) {
    std::string bytes;
    while (!input.empty()) {
        const std::size_t wanted = take_byte(input);
        const auto record = input.substr(0, wanted);
        input.remove_prefix(record.size());
        boost::crc_32_type sum;
        const auto size = static_cast<std::uint32_t>(record.size()) + 1;
        sum.process_bytes(&size, sizeof size);
        sum.process_bytes(record.data(), record.size());
        append_number(bytes, static_cast<std::uint32_t>(record.size()));
        append_number(bytes, sum.checksum());
        bytes += record;
    }
    return bytes;
}

}  // namespace

/// The file in which a runner keeps what nobody has acknowledged, after whatever befell it: what
/// can be read stays, and it works on.
void fuzz_spool(std::string_view input) {
    static const test::TemporaryFolder folder(std::filesystem::temp_directory_path());
    const auto file = folder.path() / "spool";
    const bool seal = take_byte(input) % 2 == 1;
    test::write_text(file, seal ? sealed(input) : std::string(input));
    const AttemptKey fresh{INT64_MAX, -1, 1};
    std::set<AttemptKey> before;
    {
        KeyedRecords records(file);
        before = records.keys();
        for (const auto& key : before) {
            expect(records.contains(key), "a record that is not there");
            records.read(key);
            expect(records.read(key, 1, 3).size() <= 3, "more of a record than was asked for");
        }
        expect(records.empty() == before.empty(), "nothing is something");
        records.remove(fresh);
        before.erase(fresh);
        expect(records.add(fresh, "report"), "a record cannot be added");
    }
    {
        KeyedRecords again(file);
        expect(again.read(fresh) == "report", "a record is another after a restart");
        again.remove(fresh);
        expect(again.keys() == before, "a restart brings other records");
        for (const auto& key : before) again.remove(key);
    }
    expect(std::filesystem::file_size(file) == 0, "a file with nothing in it is not empty");
}

}  // namespace rpic::fuzz

#include "master/store/tar.hpp"
#include "master/store/disk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "common/text.hpp"

namespace rpic {

namespace {

constexpr std::size_t block = 512;
constexpr const char* sums_name = "SHA256SUMS";
constexpr std::size_t sums_bytes = 256 * 1024 * 1024;  // a longer list is not ours

// Places in a header.
constexpr std::size_t mode_at = 100;
constexpr std::size_t owner_at = 108;
constexpr std::size_t group_at = 116;
constexpr std::size_t size_at = 124;
constexpr std::size_t size_width = 12;
constexpr std::size_t time_at = 136;
constexpr std::size_t sum_at = 148;
constexpr std::size_t sum_width = 8;
constexpr std::size_t type_at = 156;
constexpr std::size_t magic_at = 257;

using Header = std::array<char, block>;

unsigned sum_of(const Header& header) {
    unsigned sum = 0;
    for (std::size_t i = 0; i < block; ++i) {
        const bool own_place = i >= sum_at && i < sum_at + sum_width;
        sum += own_place ? ' ' : static_cast<unsigned char>(header[i]);
    }
    return sum;
}

Header header_of(const std::string& name, std::int64_t size) {
    Header header{};
    if (name.size() > tar_name_bytes) throw std::runtime_error("the name " + name + " is too long");
    std::memcpy(header.data(), name.data(), name.size());
    std::memcpy(&header[mode_at], "0000600", 8);
    std::memcpy(&header[owner_at], "0000000", 8);
    std::memcpy(&header[group_at], "0000000", 8);
    std::memcpy(&header[time_at], "00000000000", 12);
    if (size < (std::int64_t{1} << 33)) {
        std::snprintf(&header[size_at], size_width, "%011llo",
                      static_cast<unsigned long long>(size));
    } else {
        header[size_at] = '\x80';  // binary, big endian
        for (std::size_t i = 0; i < 8; ++i)
            header[size_at + size_width - 1 - i] = static_cast<char>(size >> (8 * i) & 0xff);
    }
    header[type_at] = '0';
    std::memcpy(&header[magic_at], "ustar\00000", 8);
    std::snprintf(&header[sum_at], sum_width, "%06o", sum_of(header));
    header[sum_at + sum_width - 1] = ' ';
    return header;
}

std::int64_t octal(const char* text, std::size_t width) {
    std::int64_t number = 0;
    std::size_t i = 0;
    while (i < width && text[i] >= '0' && text[i] <= '7') number = number * 8 + (text[i++] - '0');
    if (i == 0 || i == width || (text[i] != '\0' && text[i] != ' '))
        throw std::runtime_error("the archive is damaged");
    return number;
}

std::int64_t size_in(const Header& header) {
    if (header[size_at] != '\x80') return octal(&header[size_at], size_width);
    std::uint64_t size = 0;
    for (std::size_t i = size_at + 4; i < size_at + size_width; ++i)
        size = size << 8 | static_cast<unsigned char>(header[i]);
    if (size >> 62 != 0) throw std::runtime_error("the archive is damaged");
    return static_cast<std::int64_t>(size);
}

std::size_t padding(std::int64_t size) {
    return static_cast<std::size_t>(-size & static_cast<std::int64_t>(block - 1));
}

}  // namespace

TarWriter::TarWriter(std::filesystem::path file)
    : path_(std::move(file)),
      file_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) {
    if (!file_) fail("write", path_);
}

void TarWriter::write(std::string_view bytes) {
    size_ += static_cast<std::int64_t>(bytes.size());
    whole_.update(bytes);
    while (!bytes.empty()) {
        const auto count = ::write(file_.get(), bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) fail("write", path_);
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
}

void TarWriter::begin(const std::string& name, std::int64_t size) {
    const auto header = header_of(name, size);
    write({header.data(), header.size()});
    name_ = name;
    member_bytes_ = size;
}

void TarWriter::append(std::string_view bytes) {
    hash_.update(bytes);
    write(bytes);
}

void TarWriter::end() {
    write(std::string(padding(member_bytes_), '\0'));
    sums_ += hash_.finish() + "  " + name_ + "\n";
}

void TarWriter::sync() {
    if (::fdatasync(file_.get()) != 0) fail("write", path_);
}

void TarWriter::finish() {
    const auto header = header_of(sums_name, static_cast<std::int64_t>(sums_.size()));
    write({header.data(), header.size()});
    write(sums_);
    write(std::string(padding(static_cast<std::int64_t>(sums_.size())) + 2 * block, '\0'));
    if (::fsync(file_.get()) != 0) fail("write", path_);
    sha256_ = whole_.finish();
}

TarReader::TarReader(std::filesystem::path file)
    : path_(std::move(file)), file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (!file_) fail("read", path_);
}

void TarReader::read_exactly(char* bytes, std::size_t size) {
    while (size > 0) {
        const auto count = ::read(file_.get(), bytes, size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) fail("read", path_);
        if (count == 0) throw std::runtime_error("its end is missing");
        bytes += count;
        size -= static_cast<std::size_t>(count);
    }
}

bool TarReader::next(Member& member) {
    if (!member_.name.empty()) end_member();
    Header header{};
    read_exactly(header.data(), header.size());
    if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; })) {
        check_sums();
        return false;
    }
    if (std::memcmp(&header[magic_at], "ustar", 5) != 0)
        throw std::runtime_error("it is not a backup of a master");
    if (octal(&header[sum_at], sum_width) != sum_of(header) || header[type_at] != '0' ||
        header[tar_name_bytes] != '\0' || header[0] == '\0')
        throw std::runtime_error("the archive is damaged");
    member_.name = header.data();
    member_.size = size_in(header);
    left_ = member_.size;
    if (member_.name != sums_name && sums_.count(member_.name) != 0)
        throw std::runtime_error("the archive is damaged: a file is in it twice");
    member = member_;
    if (member_.name != sums_name) return true;
    if (left_ > static_cast<std::int64_t>(sums_bytes) || !list_.empty())
        throw std::runtime_error("the archive is damaged");
    list_.resize(static_cast<std::size_t>(left_));
    read_exactly(list_.data(), list_.size());
    left_ = 0;
    return next(member);
}

std::string_view TarReader::read(std::size_t max_bytes) {
    const auto size = std::min<std::int64_t>(left_, static_cast<std::int64_t>(max_bytes));
    buffer_.resize(static_cast<std::size_t>(size));
    read_exactly(buffer_.data(), buffer_.size());
    hash_.update(buffer_);
    left_ -= size;
    return buffer_;
}

void TarReader::end_member() {
    while (left_ > 0) read(1024 * 1024);
    char rest[block];
    const auto size = padding(member_.size);
    read_exactly(rest, size);
    if (std::any_of(rest, rest + size, [](char c) { return c != '\0'; }))
        throw std::runtime_error("the archive is damaged");
    if (member_.name != sums_name) sums_[member_.name] = hash_.finish();
    member_ = {};
}

void TarReader::check_sums() {
    std::size_t listed = 0;
    for (std::string_view rest = list_; !rest.empty(); ++listed) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        const auto gap = line.find("  ");
        if (gap == line.npos) throw std::runtime_error("its list of checksums is damaged");
        const auto name = std::string(line.substr(gap + 2));
        const auto found = sums_.find(name);
        if (found == sums_.end() || found->second != line.substr(0, gap))
            throw std::runtime_error("the checksum of " + printable(name, tar_name_bytes) +
                                     " is wrong");
    }
    if (listed != sums_.size() || listed == 0) throw std::runtime_error("checksums are missing");
}

}  // namespace rpic

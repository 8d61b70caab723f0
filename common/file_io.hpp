#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/descriptor.hpp"

/// Reading and writing that goes on after interruptions. Blocking; throws FileError naming `path`.
namespace rpic {

inline constexpr std::size_t file_read_bytes = 128 * 1024;  // a good size for one read

/// Bytes from `offset` on: `size` of them, fewer only at the end of the file.
std::string read_at(const Descriptor& file, std::int64_t offset, std::size_t size,
                    std::string_view path);

void write_at(const Descriptor& file, std::int64_t offset, std::string_view bytes,
              std::string_view path);

/// Lets `target`, which is empty, share all bytes of `source`; false where the file system cannot.
bool share_bytes(const Descriptor& source, const Descriptor& target);

/// Copies from one file to another at the same place, at most `size` bytes; gives how many, 0 at
/// the end.
std::int64_t copy_part(const Descriptor& source, const Descriptor& target, std::int64_t offset,
                       std::size_t size, std::string_view path);

}  // namespace rpic

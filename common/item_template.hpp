#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/syntax_error.hpp"

/// How an item gets into a command, with the marks that GNU parallel made known:
///
///     {}    the item                      dir/photo.tar.gz
///     {.}   without its extension         dir/photo.tar
///     {/}   without its folder            photo.tar.gz
///     {//}  its folder, as dirname(1)     dir
///     {/.}  without folder and extension  photo.tar
///     {#}   the number of the task
namespace rpic {

/// Whether any word of the command holds one of the marks.
bool has_item_mark(const std::vector<std::string>& command);

/// The command with {} at its end, as a word of its own, unless it has a mark already. In a line
/// for the shell it is added to the last word, which is the line.
std::vector<std::string> with_item_mark(std::vector<std::string> command, bool shell);

/// The command for one item. With `shell` what is put in is quoted, so that sh takes it as one word
/// whatever is in it. Throws SyntaxError if the result is longer than limits::command_bytes.
std::vector<std::string> expand_item(const std::vector<std::string>& command, bool shell,
                                     std::string_view item, std::int64_t number);

}  // namespace rpic

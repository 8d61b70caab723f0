# Embeds the files of web/ into the slave: each as it is and gzipped, by .incbin in an assembler
# file (no compiler needs minutes for a big array, and it works for every architecture), with one
# table of both that slave/web/assets.cpp reads. A changed file is embedded again by the next build.
# Only the files listed here exist for the browser; index.html is served as "/", openapi.json below
# "/api/".

set(RPIC_WEB_FILES
  index.html
  style.css
  icon.svg
  app.js
  dom.js
  feed.js
  format.js
  master.js
  nodes.js
  openapi.json
)

find_program(GZIP gzip REQUIRED)
set(web_source ${CMAKE_CURRENT_SOURCE_DIR}/web)
set(web_binary ${CMAKE_CURRENT_BINARY_DIR}/generated/web)
file(MAKE_DIRECTORY ${web_binary})

set(web_assembler ".section .rodata\n")
set(web_externs "")
set(web_table "")
set(web_inputs "")
set(web_index 0)
foreach(file ${RPIC_WEB_FILES})
  set(plain ${web_source}/${file})
  set(packed ${web_binary}/${file}.gz)
  add_custom_command(
    OUTPUT ${packed}
    COMMAND sh -c "\"$0\" -9nc \"$1\" > \"$2\"" ${GZIP} ${plain} ${packed}
    DEPENDS ${plain}
    COMMENT "Packing web/${file}"
    VERBATIM)
  list(APPEND web_inputs ${plain} ${packed})
  foreach(form plain packed)
    set(symbol rpic_web_${web_index}_${form})
    string(APPEND web_assembler ".global ${symbol}\n.type ${symbol}, %object\n${symbol}:\n"
      ".incbin \"${${form}}\"\n.size ${symbol}, . - ${symbol}\n"
      ".global ${symbol}_end\n.type ${symbol}_end, %object\n${symbol}_end:\n.byte 0\n")
    string(APPEND web_externs "extern const char ${symbol}[], ${symbol}_end[];\n")
  endforeach()
  string(REGEX REPLACE "^index\\.html$" "" path ${file})
  string(REGEX REPLACE "^openapi\\.json$" "api/openapi.json" path "${path}")
  string(APPEND web_table "    {\"/${path}\", \"${file}\", rpic_web_${web_index}_plain, "
    "rpic_web_${web_index}_plain_end,\n     rpic_web_${web_index}_packed, "
    "rpic_web_${web_index}_packed_end},\n")
  math(EXPR web_index "${web_index} + 1")
endforeach()
# Without this note the linker would make the stack of the whole program executable.
string(APPEND web_assembler ".section .note.GNU-stack,\"\",%progbits\n")

file(CONFIGURE OUTPUT ${web_binary}/assets.s CONTENT "${web_assembler}" @ONLY)
file(CONFIGURE OUTPUT ${web_binary}/asset_table.cpp @ONLY CONTENT
"#include \"slave/web/asset_table.hpp\"

extern \"C\" {
${web_externs}}

namespace rpic {

namespace {

const EmbeddedFile files[] = {
${web_table}};

}  // namespace

std::span<const EmbeddedFile> embedded_files() { return files; }

}  // namespace rpic
")
set_source_files_properties(${web_binary}/assets.s PROPERTIES OBJECT_DEPENDS "${web_inputs}")
target_sources(rpic_slave PRIVATE ${web_binary}/assets.s ${web_binary}/asset_table.cpp)

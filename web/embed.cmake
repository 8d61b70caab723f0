# Bundles the page with esbuild (bundle.mjs) and embeds it into the slave: each file as it is and gzipped, by
# .incbin in an assembler file (no compiler needs minutes for a big array, and it works for every
# architecture), with one table of both that slave/web/assets.cpp reads. What the bundle is made of
# comes from npm, as package-lock.json pins it, into web/node_modules. A changed file is bundled and
# embedded again by the next build. Only the files named here exist for the browser; index.html is
# served as "/", openapi.json below "/api/".

find_program(GZIP gzip REQUIRED)
find_program(NODE node REQUIRED)
find_program(NPM npm REQUIRED)
set(web_source ${CMAKE_CURRENT_SOURCE_DIR}/web)
set(web_binary ${CMAKE_CURRENT_BINARY_DIR}/generated/web)
set(web_packages ${web_source}/node_modules/.package-lock.json)
file(MAKE_DIRECTORY ${web_binary})

# The packages' own install scripts are not run: nothing here needs them.
add_custom_command(
  OUTPUT ${web_packages}
  COMMAND ${NPM} ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error
  COMMAND ${CMAKE_COMMAND} -E touch ${web_packages}
  WORKING_DIRECTORY ${web_source}
  DEPENDS ${web_source}/package.json ${web_source}/package-lock.json
  COMMENT "Installing the packages of the page"
  VERBATIM)

function(web_bundle output entry pattern)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${web_source}/${pattern})
  list(FILTER sources EXCLUDE REGEX "/node_modules/")
  add_custom_command(
    OUTPUT ${web_binary}/${output}
    COMMAND ${NODE} ${web_source}/bundle.mjs ${web_source}/${entry} ${web_binary}/${output}
    DEPENDS ${web_source}/bundle.mjs ${sources} ${web_packages}
    COMMENT "Bundling ${output}"
    VERBATIM)
endfunction()

web_bundle(app.js src/app.js src/*.js)
web_bundle(style.css style/style.css style/*.css)

# Their licences want to be told with every copy; the bundle itself has no room for them.
set(web_licences preact @preact/signals @preact/signals-core htm uplot)
list(TRANSFORM web_licences APPEND /LICENSE)
add_custom_command(
  OUTPUT ${web_binary}/notices.txt
  COMMAND sh -c "tail -n +1 \"$@\" > \"$0\"" ${web_binary}/notices.txt ${web_licences}
  WORKING_DIRECTORY ${web_source}/node_modules
  DEPENDS ${web_packages}
  VERBATIM)
install(FILES ${web_binary}/notices.txt DESTINATION share/doc/rpicluster)

set(web_files ${web_source}/index.html ${web_binary}/style.css ${web_source}/icon.svg
  ${web_binary}/app.js ${web_source}/openapi.json)
set(web_assembler ".section .rodata\n")
set(web_externs "")
set(web_table "")
set(web_inputs ${web_binary}/notices.txt)
set(web_index 0)
foreach(plain ${web_files})
  get_filename_component(file ${plain} NAME)
  set(packed ${web_binary}/${file}.gz)
  add_custom_command(
    OUTPUT ${packed}
    COMMAND sh -c "\"$0\" -9nc \"$1\" > \"$2\"" ${GZIP} ${plain} ${packed}
    DEPENDS ${plain}
    COMMENT "Packing ${file}"
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
# The page alone, for its tests and for those who work on it.
add_custom_target(rpicluster-page DEPENDS ${web_inputs})

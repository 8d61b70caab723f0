# What the toolchains of this folder have in common: Debian's cross compiler, and a sysroot of the
# same release that scripts/cross makes. The folder of sysroots is RPIC_SYSROOTS, a variable of the
# environment; without it, rpicluster/sysroots in the user's cache.
# Included with RPIC_DEBIAN_ARCH and RPIC_TRIPLET set.

if(DEFINED ENV{RPIC_SYSROOTS})
  set(sysroots $ENV{RPIC_SYSROOTS})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(sysroots $ENV{XDG_CACHE_HOME}/rpicluster/sysroots)
else()
  set(sysroots $ENV{HOME}/.cache/rpicluster/sysroots)
endif()

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSROOT ${sysroots}/${RPIC_DEBIAN_ARCH})
if(NOT EXISTS ${CMAKE_SYSROOT}/usr/include)
  message(FATAL_ERROR
    "no sysroot in ${CMAKE_SYSROOT}: scripts/cross ${RPIC_DEBIAN_ARCH} makes it, and builds")
endif()
set(CMAKE_C_COMPILER ${RPIC_TRIPLET}-gcc)
set(CMAKE_CXX_COMPILER ${RPIC_TRIPLET}-g++)
set(CMAKE_ASM_COMPILER ${RPIC_TRIPLET}-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE ${RPIC_TRIPLET})

# Programs come from this machine, everything else from the sysroot.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

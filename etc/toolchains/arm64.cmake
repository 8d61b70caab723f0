# 64-bit ARM: Pi 3, 4, 5 and Zero 2 W with a 64-bit system
set(RPIC_DEBIAN_ARCH arm64)
set(RPIC_TRIPLET aarch64-linux-gnu)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)

# 32-bit ARM from ARMv7 on, with floating point registers: Pi 2 and later with a 32-bit system
set(RPIC_DEBIAN_ARCH armhf)
set(RPIC_TRIPLET arm-linux-gnueabihf)
set(CMAKE_SYSTEM_PROCESSOR armv7l)
# g++ would tell of every function whose calling convention differs from g++ 6's.
set(CMAKE_CXX_FLAGS_INIT -Wno-psabi)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)

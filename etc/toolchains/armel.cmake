# ARMv6: Pi 1 and Zero, where Debian's armhf dies of illegal instructions. Built with RPIC_STATIC:
# Raspberry Pi OS calls itself armhf there, and has no libraries for programs of this calling
# convention, which uses no floating point registers.
set(RPIC_DEBIAN_ARCH armel)
set(RPIC_TRIPLET arm-linux-gnueabi)
set(CMAKE_SYSTEM_PROCESSOR armv6l)
set(CMAKE_CXX_FLAGS_INIT "-march=armv6 -marm -mfloat-abi=soft -Wno-psabi")
set(CMAKE_ASM_FLAGS_INIT -march=armv6)
# ARMv6 has no instruction for atomic values of 64 bits; the library asks the kernel.
set(CMAKE_CXX_STANDARD_LIBRARIES -latomic)
include(${CMAKE_CURRENT_LIST_DIR}/debian.cmake)

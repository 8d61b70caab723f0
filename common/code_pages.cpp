#include "common/code_pages.hpp"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace rpic {

namespace {

/// madvise(2) with MADV_DONTNEED drops what was changed in a private mapping. Nothing is ever
/// changed in a segment that may be executed and not written; other segments hold relocated data.
int release_code_of(dl_phdr_info* object, std::size_t, void*) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& segment = object->dlpi_phdr[i];
        const bool code = (segment.p_flags & PF_X) != 0 && (segment.p_flags & PF_W) == 0;
        if (segment.p_type != PT_LOAD || !code) continue;
        const std::uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const std::uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_filesz;
        // The kernel's own object refuses, which does no harm.
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
}

}  // namespace

void release_code_pages() {
    ::dl_iterate_phdr(&release_code_of, nullptr);
}

}  // namespace rpic

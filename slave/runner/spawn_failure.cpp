#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "common/limits.hpp"
#include "common/text.hpp"
#include "slave/runner/spawn.hpp"

namespace rpic {

namespace {

/// Start of a regular file; empty if it cannot be read.
std::string head_of(const std::string& file) {
    const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return {};
    std::string head(1024, '\0');
    struct stat status {};
    const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    const auto size = regular ? ::read(descriptor, head.data(), head.size()) : 0;
    ::close(descriptor);
    head.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return head;
}

std::string machine_name(unsigned number, bool wide) {
    switch (number) {
        case EM_X86_64:
            return wide ? "x86_64" : "x32";
        case EM_386:
            return "i386";
        case EM_AARCH64:
            return "aarch64";
        case EM_ARM:
            return "arm";
        case EM_RISCV:
            return wide ? "riscv64" : "riscv32";
        case EM_PPC64:
            return "ppc64";
        case EM_S390:
            return "s390x";
        case EM_MIPS:
            return "mips";
        default:
            return "another machine (number " + std::to_string(number) + ")";
    }
}

/// The machine that a program was made for; empty if the file is none.
std::string machine_of(std::string_view head) {
    if (head.size() < 20 || !head.starts_with("\177ELF")) return {};
    const auto byte = [&](std::size_t place) {
        return static_cast<unsigned>(static_cast<unsigned char>(head[place]));
    };
    const bool big_endian = byte(EI_DATA) == ELFDATA2MSB;
    const unsigned number = big_endian ? byte(18) << 8 | byte(19) : byte(19) << 8 | byte(18);
    return machine_name(number, byte(EI_CLASS) == ELFCLASS64);
}

/// What stands behind #! in the first line; empty if nothing does.
std::string interpreter_of(std::string_view head) {
    if (!head.starts_with("#!")) return {};
    auto line = trim(head.substr(2, head.find('\n') - 2));
    // An editor of another system leaves a carriage return, which becomes part of the name.
    return printable(line.substr(0, line.find_first_of(" \t")), limits::text_chars);
}

std::string this_machine() {
    utsname names{};
    return ::uname(&names) == 0 ? names.machine : "another machine";
}

}  // namespace

std::string why_not_executable(const std::string& file, int error) {
    const auto head = head_of(file);
    const auto name = printable(file, limits::text_chars);
    const auto interpreter = interpreter_of(head);
    const auto machine = machine_of(head);
    const auto first_line = std::string_view(head).substr(0, head.find('\n'));
    struct stat status {};
    const bool known = ::stat(file.c_str(), &status) == 0;
    if (known && S_ISDIR(status.st_mode)) return name + " is a folder, not a program";
    if (error == ENOENT && !interpreter.empty()) {
        const bool carriage = first_line.ends_with('\r');
        return name + " is a script for " + interpreter + ", which is not on this node" +
               (carriage
                    ? " (its first line ends in a carriage return: save it with Unix line ends)"
                    : "");
    }
    if ((error == ENOEXEC || error == ENOENT) && !machine.empty() && machine != this_machine())
        return name + " is a program for " + machine + ", this node is " + this_machine();
    if (error == ENOENT) return name + " needs a program loader that is not on this node";
    if (error == ENOEXEC) return name + " is neither a program nor a script";
    if (error == EACCES && known && (status.st_mode & 0111) == 0)
        return name + " is not executable: chmod +x it";
    if (error == E2BIG) return "the command and its environment are longer than the kernel allows";
    return name + ": " + std::strerror(error);
}

}  // namespace rpic

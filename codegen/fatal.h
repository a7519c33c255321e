// What happens when LLVM gives up.
#pragma once

namespace nnc {

// From now on a fatal error inside LLVM ends the program with a message and exit code 1, instead of a core dump.
void report_fatal_errors();

} // namespace nnc

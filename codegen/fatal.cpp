// LLVM calls its handler where it cannot go on, with exceptions off: nothing can be cleaned up, only said.
#include "codegen/fatal.h"

#include <llvm/Support/ErrorHandling.h>

#include <cstdio>

#include <unistd.h>

namespace nnc {

void report_fatal_errors() {
  llvm::install_fatal_error_handler([](void *, const char *reason, bool) {
    std::fprintf(stderr, "nnc: error: internal error: LLVM: %s\n", reason);
    std::fflush(stderr);
    _exit(1);
  });
}

} // namespace nnc

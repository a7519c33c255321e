#include "tests/paths.h"

namespace nnc {

std::string source_dir() { return NNC_SOURCE_DIR; }
std::string nnc_binary() { return NNC_BINARY; }

} // namespace nnc

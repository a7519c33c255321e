// Where this build lies. Kept in one small file, so that compiled tests do not depend on it.
#pragma once

#include <string>

namespace nnc {

std::string source_dir(); // root of the tree
std::string nnc_binary(); // the driver

} // namespace nnc

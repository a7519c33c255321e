#!/bin/sh
# Whether every C++ file is as clang-format-19 would write it; .def tables keep one row a line. Exit code 77, "skipped", where clang-format-19 is missing.
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang-format-19 >/dev/null; then
  echo "skipped: clang-format-19 is not installed"
  exit 77
fi
find codegen examples frontend ir passes python runtime tests tools -path tests/frozen -prune -o \( -name '*.cpp' -o -name '*.h' \) -print0 |
  xargs -0 clang-format-19 --dry-run -Werror

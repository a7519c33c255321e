// Builtins: the functions that .nn text cannot write itself. The library in frontend/std is built on them.
#pragma once

#include "frontend/datum.h"

#include <span>
#include <string_view>

namespace nnc {

class Lowering;

// The arguments of one call, by position of the parameter; those left out are none.
struct BuiltinCall {
  Lowering &lowering;
  const Builtin &builtin;
  std::vector<std::optional<Operand>> arguments;
  std::vector<Operand> rest; // what the parameter `...` took
  Span at;

  const Operand &operator[](size_t i) const { return *arguments[i]; }
  bool has(size_t i) const { return arguments[i].has_value(); }
};

struct Builtin {
  std::string_view name;
  std::string_view parameters; // "x, axis?": `?` may be left out; a last `...` takes any number
  bool elementwise;            // may stand in an elementwise function
  Datum (*call)(const BuiltinCall &);
};

// Those that have a file of their own.
Datum einsum(const BuiltinCall &c);                                                            // einsum.cpp
Datum pad(const BuiltinCall &c), window(const BuiltinCall &c), unwindow(const BuiltinCall &c); // windows.cpp

std::span<const Builtin> builtins();
const Builtin *find_builtin(std::string_view name);

} // namespace nnc

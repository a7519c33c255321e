// Instances: one for each call that may own parameters; they make the paths under which parameters and states are kept.
#pragma once

#include "frontend/ast.h"

#include <map>
#include <optional>
#include <string>
#include <unordered_map>

namespace nnc {

struct Instance {
  // Root instances have their path given: a net's name, or a parameter's path and its optimiser's name.
  // Others take it from their parent once it is known that they own something: `dense_0`, or the name after `as`.
  const ast::Func *func = nullptr;
  Instance *parent = nullptr;
  std::string path;
  bool resolved = false;
  bool entry = false; // an entry's own: nothing can be kept here

  std::optional<ast::Name> as;
  std::string counters; // "_0_2": the rounds of the loops around the call
  std::string part;     // of the path, once it is given
  Span call;            // where the instance was made

  std::unordered_map<std::string, int> calls;  // of each function so far
  std::unordered_map<std::string, Span> parts; // names taken by calls and declarations
};

// `a` before `b` with numbers compared as numbers: dense_2 before dense_10.
bool path_before(const std::string &a, const std::string &b);

// Does the pattern fit the whole path? `*` stands for any letters but `/`, `**` also for that.
bool path_matches(const std::string &pattern, const std::string &path);

// For each path a name for dumps: its parts joined by `.`, without the first if that is the same for all.
std::vector<std::string> short_names(const std::vector<std::string> &paths);

} // namespace nnc

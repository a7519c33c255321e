// schedule: which units of a fused function run, in which order, and where each value is stored.
#pragma once

#include "ir/function.h"

#include <map>
#include <optional>

namespace nnc {

// Where a value lives.
struct Storage {
  enum class Kind : uint8_t { workspace, output, state };
  Kind kind = Kind::workspace;
  int index = -1; // of the output, or of the state in the module

  bool operator==(const Storage &) const = default;
};

struct Schedule {
  // Steps in order: nodes of the function (fused, pad, concat, scan), and checks.
  struct Item {
    int node = -1;  // runs this node
    int check = -1; // or tests this result of the function
  };
  std::vector<Item> items;
  std::map<Value, Storage> storage; // of every value that a node of `items` stores
};

// A scalar that lies in memory: in a value that is stored, so many elements behind its first.
struct StoredNumber {
  Value in;
  int64_t offset = 0;
};
std::optional<StoredNumber> stored_number(const Function &function, Value value);

// May add copies to `function`: of results that no kernel can write where they belong, and of states that are still read after
// their next value is there. Afterwards every result is stored in its place by the items.
Schedule make_schedule(Function &function);

} // namespace nnc

// Module, Function, Node, Value: the tensor IR. A function is a list of nodes in order; a value is (node, index).
#pragma once

#include "ir/op.h"
#include "ir/tensor.h"

#include <memory>

namespace nnc {

// Where a node comes from: a place in a source file, how many derivatives were taken (primes), and the chain of calls that
// led there (an index into Module::paths; 0 is "directly in the entry"). line 0: no place.
struct Loc {
  int file = 0;
  int line = 0, column = 0;
  int order = 0;
  int path = 0;

  bool operator==(const Loc &) const = default;
};

struct Value {
  int node = -1;
  int index = 0;

  auto operator<=>(const Value &) const = default;
  explicit operator bool() const { return node >= 0; }
};

struct Region;

// The loop of a scan node. Its operands are the first values of the carries, then the slices, which have `steps` along their
// first axis, then the invariants; its body has an argument for each, a slice's without the first axis. The body yields the
// next value of every carry, then what is stacked; the node's results are the last values of the carries, then the stacks,
// which have `steps` along their first axis. Step t reads entry t of the slices and writes entry t of the stacks; `reverse`
// runs from the last step to the first.
struct ScanInfo {
  int64_t steps = 0; // at least 1
  int carries = 0, slices = 0;
  bool reverse = false;

  bool operator==(const ScanInfo &) const = default;
};

struct Node {
  Op op = Op::arg;
  std::vector<Value> operands;
  Attrs attrs;
  std::vector<Type> types;        // of the results: one, but for fused, grad and scan
  std::vector<std::string> names; // of the results, unique in the function; "" prints as a number
  Loc loc;
  std::shared_ptr<const Tensor> data; // constant
  std::shared_ptr<const Region> body; // fused, scan
  ScanInfo scan;                      // scan

  // Of the only result; an internal error where there are more, in every build. Who has a value asks Region::type.
  const Type &type() const { return types[only()]; }
  const std::string &name() const { return names[only()]; }
  const std::string &label() const { return names[0]; } // for messages and logs: the name of the first result

private:
  size_t only() const;
};

// Nodes in order (operands before users). The first `args` nodes are Op::arg.
struct Region {
  std::vector<Node> nodes;
  int args = 0;
  std::vector<Value> results; // of the body of fused or scan; a function has `Function::results` instead

  const Node &node(Value v) const { return nodes[v.node]; }
  const Type &type(Value v) const { return nodes[v.node].types[v.index]; }
};

// The type that the body's results give result `i` of a fused node or scan.
Type result_type(const Node &node, const Region &body, size_t i);

struct Arg {
  int state = -1; // index into Module::states, or -1: an input of the entry
};

struct Result {
  enum class Kind : uint8_t {
    output, // a result of the entry
    state,  // the next value of state `state`
    check,  // a scalar bool: where it is false the entry fails with the message `name`, before anything is written
  };
  Kind kind = Kind::output;
  std::string name; // output: its name in the header; check: the message
  Value value;
  int state = -1;
  Loc loc;
};

// One C function of the artefact. Args: the entry's inputs first, then the states it reads or writes.
// `init` is an entry with one input, seed: i64, that writes every state.
struct Function : Region {
  std::string name;
  std::string doc; // the comment lines above the entry
  std::vector<Arg> arg_info;
  std::vector<Result> function_results;
  Loc loc;
};

struct State {
  std::string path; // "mlp/dense_0/w"; key of the weight file
  Type type;
  bool trained = false; // a param; else carried from call to call
};

struct Call {
  std::string function; // name of the .nn function
  Loc at;               // where it was called (path unused)

  bool operator==(const Call &) const = default;
};

struct Module {
  std::vector<std::string> files = {""}; // files[0] is the model
  std::vector<std::vector<Call>> paths = {{}};
  std::vector<State> states;
  std::vector<Function> functions; // entries in source order, then "init"

  const Function *find(std::string_view name) const;
};

} // namespace nnc

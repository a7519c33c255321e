// Order and places. A result is written where it belongs by the kernel that computes it; a copy is added where that cannot be:
// the value is a view, an argument, bound to two results, or needed by a check (nothing may be written before all checks
// hold). A state's next value goes into the state's own memory once every reader of the old value has run: readers are ordered
// before the writer, and where that makes a cycle, or the writer reads the old value at other indices than it writes, the
// value waits in the workspace for a copy at the end.
#include "passes/schedule.h"

#include "ir/error.h"
#include "passes/access.h"
#include "passes/body.h"
#include "passes/form.h"

#include <algorithm>
#include <queue>
#include <set>

namespace nnc {

namespace {

// The stored value that `value` is, read from its first to its last element; or nothing.
Value whole(const Function &function, Value value) {
  Value source = stored_base(function, value);
  if (!stands_alone(function.node(source)))
    return {};
  ElementSource seen = resolve(function, value, [](int) { return false; });
  const Shape &shape = function.type(value).shape;
  return seen.kind == ElementSource::Kind::buffer && seen.offset == 0 &&
                 function.type(source).elements() == element_count(shape) &&
                 reshape_strides(shape, seen.strides, {element_count(shape)}) == Shape{element_count(shape) == 1 ? 0 : 1}
             ? source
             : Value{};
}

// Whether the kernel of `node` may write its result `index` over its operand `read` (an argument).
bool can_overwrite(const Function &function, int node, int index, Value read) {
  const Node &fused = function.nodes[node];
  if (fused.op == Op::scan) { // a carry may run in the memory it starts from, if the loop reads that in no other way
    for (int k = 0; k < static_cast<int>(fused.operands.size()); ++k)
      if (stored_base(function, fused.operands[k]) == read &&
          (k != index || index >= fused.scan.carries || fused.operands[k] != read))
        return false;
    return true;
  }
  if (fused.op != Op::fused) // pad and concat are several kernels, and read their operands through views
    return std::none_of(fused.operands.begin(), fused.operands.end(),
                        [&](Value operand) { return stored_base(function, operand) == read; });
  auto operand = std::find(fused.operands.begin(), fused.operands.end(), read);
  if (operand == fused.operands.end())
    return true;
  const Kernel kernel = kernel_of(fused);
  Value argument{static_cast<int>(operand - fused.operands.begin()), 0};
  const KernelRoot &root = kernel.roots[index];
  if (kernel.nodes[root.node].partial)
    return false;
  for (const KernelNode &load : kernel.nodes)
    if (is_load(load.op) && kernel.pointers[load.access.pointer].value == argument)
      // Same element at the same point (a table is read anywhere), and no sweep after the one that writes it reads it again.
      if (load.op == Op::gather || load.access.strides != root.access.strides || load.access.offset != root.access.offset ||
          kernel.stages > 1)
        return false;
  return true;
}

class Scheduler {
public:
  explicit Scheduler(Function &function) : function_(function) {}

  Schedule run() {
    find_before_checks();
    place_results();
    while (!order())
      ;
    return std::move(schedule_);
  }

private:
  Function &function_;
  Schedule schedule_;
  std::set<int> before_checks_;  // nodes that a check needs
  std::set<int> copied_last_;    // results (states) whose value waits in the workspace
  std::map<int, int> last_copy_; // node of such a copy -> result

  void find_before_checks() {
    std::vector<int> stack;
    for (const Result &result : function_.function_results)
      if (result.kind == Result::Kind::check)
        stack.push_back(result.value.node);
    while (!stack.empty()) {
      int node = stack.back();
      stack.pop_back();
      if (before_checks_.insert(node).second)
        for (Value operand : function_.nodes[node].operands)
          stack.push_back(operand.node);
    }
  }

  Value add_copy(Value value) {
    function_.nodes.push_back(copy_node(function_, value));
    return {static_cast<int>(function_.nodes.size()) - 1, 0};
  }

  void place_results() {
    for (size_t r = 0; r < function_.function_results.size(); ++r) {
      Result &result = function_.function_results[r];
      if (result.kind == Result::Kind::check) {
        if (!stored_number(function_, result.value))
          before_checks_.insert((result.value = add_copy(result.value)).node);
        continue;
      }
      Value stored = whole(function_, result.value);
      if (!stored || before_checks_.contains(stored.node) || schedule_.storage.contains(stored))
        result.value = stored = add_copy(result.value);
      if (result.kind == Result::Kind::state &&
          !can_overwrite(function_, stored.node, stored.index, state_argument(result.state))) {
        copy_last(r);
        continue;
      }
      schedule_.storage[stored] = place(result, r);
    }
  }

  Storage place(const Result &result, size_t index) const {
    if (result.kind == Result::Kind::state)
      return {Storage::Kind::state, result.state};
    int output = 0;
    for (size_t i = 0; i < index; ++i)
      output += function_.function_results[i].kind == Result::Kind::output;
    return {Storage::Kind::output, output};
  }

  Value state_argument(int state) const {
    for (int a = 0; a < function_.args; ++a)
      if (function_.arg_info[a].state == state)
        return {a, 0};
    return {};
  }

  // The value of result r is stored in the workspace and copied to its state after everything else.
  void copy_last(size_t r) {
    Result &result = function_.function_results[r];
    Value stored = whole(function_, result.value);
    schedule_.storage.erase(stored);
    Value copy = add_copy(result.value);
    result.value = copy;
    schedule_.storage[copy] = place(result, r);
    last_copy_[copy.node] = static_cast<int>(r);
  }

  // False: a cycle was found and opened by a copy; to be called again.
  bool order() {
    size_t count = function_.nodes.size();
    std::vector<std::set<int>> after(count); // node -> nodes that must wait for it
    std::vector<int> waits(count, 0);
    auto add_edge = [&](int first, int second) {
      if (first != second && after[first].insert(second).second)
        ++waits[second];
    };
    std::vector<std::vector<int>> readers(count);
    for (size_t n = 0; n < count; ++n)
      if (stands_alone(function_.nodes[n]))
        for (Value operand : function_.nodes[n].operands) {
          int source = stored_base(function_, operand).node;
          readers[source].push_back(static_cast<int>(n));
          if (stands_alone(function_.nodes[source]))
            add_edge(source, static_cast<int>(n));
        }
    std::map<int, int> writer_of_result;
    for (size_t r = 0; r < function_.function_results.size(); ++r) {
      const Result &result = function_.function_results[r];
      if (result.kind != Result::Kind::state)
        continue;
      int writer = stored_base(function_, result.value).node;
      if (Value argument = state_argument(result.state))
        for (int reader : readers[argument.node])
          add_edge(reader, writer);
    }
    for (auto [copy, r] : last_copy_)
      for (size_t n = 0; n < count; ++n)
        if (stands_alone(function_.nodes[n]) && !last_copy_.contains(static_cast<int>(n)))
          add_edge(static_cast<int>(n), copy);

    // Ready nodes by place in the program, those that a check needs first.
    using Ready = std::pair<std::pair<int, int>, int>;
    std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
    auto push = [&](int n) { ready.push({{!before_checks_.contains(n), n}, n}); };
    size_t total = 0;
    for (size_t n = 0; n < count; ++n)
      if (stands_alone(function_.nodes[n])) {
        ++total;
        if (waits[n] == 0)
          push(static_cast<int>(n));
      }
    schedule_.items.clear();
    size_t done = 0;
    bool checked = false;
    auto add_checks = [&] {
      for (size_t r = 0; r < function_.function_results.size() && !checked; ++r)
        if (function_.function_results[r].kind == Result::Kind::check)
          schedule_.items.push_back({-1, static_cast<int>(r)});
      checked = true;
    };
    while (!ready.empty()) {
      int n = ready.top().second;
      ready.pop();
      if (!before_checks_.contains(n))
        add_checks();
      schedule_.items.push_back({n, -1});
      ++done;
      for (int next : after[n])
        if (--waits[next] == 0)
          push(next);
    }
    add_checks();
    if (done == total)
      return true;
    // A cycle goes through a state that is written in place: the first such that still waits is copied last instead.
    for (size_t r = 0; r < function_.function_results.size(); ++r) {
      const Result &result = function_.function_results[r];
      if (result.kind == Result::Kind::state && waits[stored_base(function_, result.value).node] > 0 &&
          !last_copy_.contains(result.value.node)) {
        copy_last(r);
        return false;
      }
    }
    throw Error("internal error: " + function_.name + " has a cycle of kernels");
  }
};

} // namespace

std::optional<StoredNumber> stored_number(const Function &function, Value value) {
  const Value source = stored_base(function, value);
  const ElementSource seen = resolve(function, value, [](int) { return false; });
  if (!stands_alone(function.node(source)) || seen.kind != ElementSource::Kind::buffer)
    return std::nullopt;
  return StoredNumber{source, seen.offset};
}

Schedule make_schedule(Function &function) { return Scheduler(function).run(); }

} // namespace nnc

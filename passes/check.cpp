// check: an entry that finds out what went wrong in it, for --check.
//
//   %y = fused(%x) { %a = log(%x) … }    =>    %y = fused(%x) { %a = log(%x) … }
//                                              %0 = log(%x), and from it a number: 0 where `log` made NaN, 1 where infinity
//                                              %1 = min(…), the least number of all      -> check "`log` gave NaN at …", %1 != 0
//
// Runs when kernels are formed, and leaves those alone: what they keep to themselves is computed once more, in kernels formed
// here, or by the next run of `fuse`. So every result has the bits that it has without checks, whatever is added here.
//
// --check=nan: an op is to blame where its result is further from being a number (finite, infinite, NaN) than all of its
// operands: element by element where it is elementwise, else as a whole. So a mask of -inf is passed over, and NaN made of it is
// not.
// --check=bounds: a place of gather or scatter_add that is none of the axis.
//
// All findings of a function are numbered in the order of its nodes, and the least is the first op that went wrong. In a loop
// every step leaves its own least number, and that of the first step that has one counts.
#include "passes/float_class.h"
#include "passes/passes.h"

#include "passes/body.h"
#include "passes/form.h"

#include <algorithm>
#include <fmt/format.h>

#include <limits>
#include <set>
#include <utility>

namespace nnc {

namespace {

constexpr int64_t nothing = std::numeric_limits<int32_t>::max(); // a number behind all findings

struct Finding {
  std::string message;
  Loc loc;
};

// Whether the op can make of numbers what is none. All others hand on or drop what they are given.
bool can_leave_numbers(const Node &node, DType operand) {
  switch (node.op) {
  case Op::add:
  case Op::sub:
  case Op::mul:
  case Op::div:
  case Op::rem:
  case Op::muladd:
  case Op::pow:
  case Op::exp:
  case Op::expm1:
  case Op::log:
  case Op::log1p:
  case Op::sin:
  case Op::cos:
  case Op::sqrt:
  case Op::sum:
  case Op::prod:
  case Op::variance:
  case Op::unwindow:
  case Op::scatter_add:
  case Op::dot:
    return is_float(node.type().dtype);
  case Op::cast: // rounding up beyond the largest number
    return is_float(node.type().dtype) && dtype_size(node.type().dtype) < dtype_size(DType::f64) &&
           (is_float(operand) || node.type().dtype == DType::f16);
  default:
    return false;
  }
}

// Says of findings what the user wants to know.
class Words {
public:
  explicit Words(const Module &module) : module_(module) {}

  // "at x.nn:3:10, called at x.nn:7:3"; empty where there is no place.
  std::string place(const Loc &loc) const {
    constexpr size_t most_calls = 3;
    std::string text = loc.line ? " at " + point(loc) : "";
    const std::vector<Call> &calls = module_.paths[loc.path];
    for (size_t i = 0; i < std::min(calls.size(), most_calls); ++i)
      text += ", called at " + point(calls[calls.size() - 1 - i].at);
    return text;
  }

  std::string op(const Node &node, std::string_view what) const {
    const std::string derivative = node.loc.order == 0   ? "forward"
                                   : node.loc.order == 1 ? "derivative"
                                                         : fmt::format("derivative of order {}", node.loc.order);
    const std::string value = node.name().empty() ? "" : fmt::format(", value `{}`", node.name());
    return fmt::format("`{}` gave {}{} ({}{})", op_info(node.op).name, what, place(node.loc), derivative, value);
  }

private:
  std::string point(const Loc &loc) const { return fmt::format("{}:{}:{}", module_.files[loc.file], loc.line, loc.column); }

  const Module &module_;
};

// One region: the function, or the body of a loop.
class RegionChecker {
public:
  RegionChecker(Region &region, PassContext &context, std::vector<Finding> &findings)
      : region_(region), given_(static_cast<int>(region.nodes.size())), context_(context), checks_(context.checks()),
        words_(context.module), findings_(findings), build_(region), classes_(build_) {}

  // Of the function, whose arguments come from the host.
  void look_at_arguments(const Function &function) {
    for (int a = 0; a < function.args && checks_.nan; ++a)
      look_at_argument({a, 0}, function.arg_info[a].state);
    close();
  }

  // The least number of what is found here: an i32. None: there is nothing to find.
  Value run() {
    for (int i = 0; i < given_; ++i) {
      const Node node = region_.nodes[i]; // what is built moves the original
      if (node.op == Op::fused) {
        Values known;
        for (int a = 0; a < node.body->args; ++a)
          known[{a, 0}] = node.operands[a];
        for (size_t r = 0; r < node.body->results.size(); ++r)
          known.try_emplace(node.body->results[r], Value{i, static_cast<int>(r)});
        for (int k = node.body->args; k < static_cast<int>(node.body->nodes.size()); ++k)
          look_at_node(*node.body, k, known);
      } else if (node.op == Op::scan) {
        look_at_loop(i);
      } else if (node.op != Op::arg && node.op != Op::constant) {
        Values known;
        for (Value operand : node.operands)
          known[operand] = operand;
        known[{i, 0}] = {i, 0};
        look_at_node(region_, i, known);
      }
      close();
    }
    first_ = least();
    sweep();
    return first_;
  }

private:
  using Values = std::map<Value, Value>; // of the body of a kernel: where they are in the region

  Region &region_;
  const int given_; // nodes before anything was added
  PassContext &context_;
  const Checks &checks_;
  const Words words_;
  std::vector<Finding> &findings_;
  Builder build_;
  FloatClasses classes_;
  std::map<Value, Value> whole_;                // classes of tensors, stored
  std::map<Shape, Value> open_;                 // numbers of what was found last, by the shape of what was looked at
  std::set<std::pair<Value, int64_t>> checked_; // places, and the size of the axis
  std::vector<Value> taken_;                    // least numbers of what was looked at
  Value first_;                                 // the least of all, at the end

  int64_t add(const std::string &message, const Loc &loc) {
    findings_.push_back({message, loc});
    return static_cast<int64_t>(findings_.size()) - 1;
  }

  Value numbers(const Shape &shape, int64_t number) { return build_.constant_int({DType::i32, shape}, number); }

  void note(Value is_found, Value number) {
    const Shape shape = build_.shape(is_found);
    Value &all = open_[shape];
    const Value here = build_.select(is_found, number, numbers(shape, nothing));
    all = all ? build_.op(Op::minimum, {all, here}) : here;
  }

  // What is open becomes one number.
  void close() {
    for (const auto &[shape, numbers] : open_) {
      Shape axes;
      for (size_t i = 0; i < shape.size(); ++i)
        axes.push_back(static_cast<int64_t>(i));
      take(stored(build_.reduce(Op::min, numbers, axes)));
    }
    open_.clear();
  }

  // The scalar as the result of a kernel of its own, with everything that was added for it. Fuse would come to that too, node by
  // node, and where this is no kernel it is left to do so.
  Value stored(Value value) {
    std::set<int> members;
    std::vector<Value> open = {value};
    while (!open.empty()) {
      const Value v = open.back();
      open.pop_back();
      const Node &node = region_.node(v);
      if (v.node < given_ || stands_alone(node) || !members.insert(v.node).second)
        continue;
      open.insert(open.end(), node.operands.begin(), node.operands.end());
    }
    std::erase_if(members, [&](int i) { return is_view(region_.nodes[i].op) || is_free(region_.nodes[i]); });
    if (members.empty())
      return value;
    const std::vector<int> list(members.begin(), members.end());
    Node kernel = fused_node(region_, list, {&value, 1});
    if (!form_body(*kernel.body).kernel)
      return value;
    kernel.names = {""};
    region_.nodes.push_back(std::move(kernel));
    return {static_cast<int>(region_.nodes.size()) - 1, 0};
  }

  // Drops what was added and is in kernels now.
  void sweep() {
    if (!first_)
      return;
    std::vector<bool> live(region_.nodes.size());
    live[first_.node] = true;
    std::vector<int> moved(region_.nodes.size());
    for (int i = static_cast<int>(live.size()) - 1; i >= given_; --i)
      for (Value operand : region_.nodes[i].operands)
        live[operand.node] = live[operand.node] || live[i];
    int to = 0;
    for (int i = 0; i < static_cast<int>(live.size()); ++i) {
      moved[i] = to;
      if (i >= given_ && !live[i])
        continue;
      Node node = std::move(region_.nodes[i]);
      for (Value &operand : node.operands)
        operand.node = moved[operand.node];
      region_.nodes[to++] = std::move(node);
    }
    region_.nodes.resize(to);
    first_.node = moved[first_.node];
  }

  void take(Value number) {
    taken_.push_back(number);
    if (taken_.size() == most_pointers - 1) // and one that is written
      taken_ = {least()};
  }

  // Of the numbers so far.
  Value least() {
    if (taken_.empty())
      return {};
    Value value = taken_[0];
    for (size_t i = 1; i < taken_.size(); ++i)
      value = build_.op(Op::minimum, {value, taken_[i]});
    return stored(value);
  }

  // `number` and the one behind it are those of NaN and infinity. `known`: the class that is nobody's fault here.
  void note_class(Value classes, Value known, int64_t number) {
    const Shape shape = build_.shape(classes);
    if (!known)
      known = numbers(shape, 0);
    note(build_.lt(known, classes), build_.sub(numbers(shape, number + 2), classes));
  }

  void look_at_argument(Value argument, int state) {
    const Node node = region_.node(argument);
    build_.loc = node.loc;
    if (!is_float(node.type().dtype))
      return;
    const std::string name =
        state < 0 ? fmt::format("input `{}`", node.name()) : fmt::format("state `{}`", context_.module.states[state].path);
    const int64_t number = add(name + " holds NaN", node.loc);
    add(name + " holds infinity", node.loc);
    const int at_first = state < 0 ? 0 : first_class(state);
    note_class(classes_.of_elements(argument), at_first == 0 ? Value{} : numbers(node.type().shape, at_first), number);
  }

  // A state that starts as a constant of infinities, such as the least loss so far, may hold some.
  int first_class(int state) const {
    const Function *init = context_.module.find("init");
    if (init)
      for (const Result &result : init->function_results)
        if (result.kind == Result::Kind::state && result.state == state)
          if (const Node &node = init->node(stored_base(*init, result.value)); node.op == Op::constant)
            return float_class(*node.data);
    return 0;
  }

  Value of_whole(Value v) {
    const auto [at, added] = whole_.try_emplace(v);
    if (added)
      if (const Value largest = classes_.of_whole(v))
        at->second = stored(largest);
    return at->second;
  }

  // Node `index` of `from`, the region itself or the body of a kernel in it.
  void look_at_node(const Region &from, int index, Values &known) {
    const Node node = from.nodes[index];
    build_.loc = node.loc;
    if (checks_.bounds && (node.op == Op::gather || node.op == Op::scatter_add))
      look_at_places(from, node, known);
    if (!checks_.nan || node.operands.empty() || !can_leave_numbers(node, from.type(node.operands[0]).dtype))
      return;
    const int64_t number = add(words_.op(node, "NaN"), node.loc);
    add(words_.op(node, "infinity"), node.loc);
    const Value classes = classes_.of_elements(here(from, {index, 0}, known));
    Value of_operands;
    for (Value operand : node.operands) {
      const Value v = here(from, operand, known);
      of_operands = classes_.larger(of_operands, is_elementwise(node.op) ? classes_.of_elements(v) : of_whole(v));
    }
    if (of_operands && !is_elementwise(node.op))
      of_operands = build_.broadcast(of_operands, node.type().shape, {});
    note_class(classes, of_operands, number);
  }

  void look_at_places(const Region &from, const Node &node, Values &known) {
    const Value places = here(from, node.operands[1], known);
    const int64_t size =
        node.op == Op::gather ? from.type(node.operands[0]).shape[node.attrs.axis] : node.attrs.shape[node.attrs.axis];
    const Node &base = region_.node(stored_base(region_, places));
    if (base.op == Op::constant || base.op == Op::iota || !checked_.insert({places, size}).second)
      return;
    const Shape shape = build_.shape(places);
    const Value below = build_.lt(places, numbers(shape, 0)), beyond = build_.lt(numbers(shape, size - 1), places);
    const int64_t number =
        add(fmt::format("index of `{}` outside 0..{}{}", op_info(node.op).name, size, words_.place(node.loc)), node.loc);
    note(build_.op(Op::logical_or, {below, beyond}), numbers(shape, number));
  }

  // The value of the body in the region; computed there if it stays in its kernel.
  Value here(const Region &from, Value value, Values &known) {
    if (auto at = known.find(value); at != known.end())
      return at->second;
    const Node node = from.node(value);
    std::vector<Value> operands;
    for (Value operand : node.operands)
      operands.push_back(here(from, operand, known));
    const Loc loc = std::exchange(build_.loc, node.loc);
    const Value copy =
        node.op == Op::constant ? build_.constant(*node.data) : build_.op(node.op, std::move(operands), node.attrs);
    build_.loc = loc;
    return known[value] = copy;
  }

  void look_at_loop(int index) {
    const ScanInfo info = region_.nodes[index].scan;
    Region body = *region_.nodes[index].body;
    const Value of_step = RegionChecker(body, context_, findings_).run();
    if (!of_step)
      return;
    body.results.push_back(of_step);
    Node &loop = region_.nodes[index];
    loop.body = std::make_shared<const Region>(std::move(body));
    const Value stack{index, static_cast<int>(loop.types.size())};
    loop.types.push_back({DType::i32, {info.steps}});
    loop.names.emplace_back();
    build_.loc = loop.loc;
    const Value steps = info.reverse ? build_.slice(stack, {info.steps - 1}, {info.steps}, {-1}) : stack;
    const Value found = build_.cast(build_.lt(steps, numbers({info.steps}, nothing)), DType::i32);
    take(build_.gather(steps, build_.op(Op::argmax, {found}, {.axes = {0}}), 0));
  }
};

} // namespace

bool check(Function &function, PassContext &context) {
  std::vector<Finding> findings;
  RegionChecker checker(function, context, findings);
  checker.look_at_arguments(function);
  const Value first = checker.run();
  if (!first)
    return false;
  Builder build(function);
  const int64_t count = static_cast<int64_t>(findings.size());
  const Value numbers = build.iota(DType::i32, {count}, 0);
  const Value holds = build.op(Op::logical_not, {build.eq(numbers, build.broadcast(first, {count}, {}))});
  for (int64_t i = 0; i < count; ++i)
    function.function_results.push_back({.kind = Result::Kind::check,
                                         .name = std::move(findings[i].message),
                                         .value = build.reshape(build.slice(holds, {i}, {1}, {1}), {}),
                                         .loc = findings[i].loc});
  return true;
}

} // namespace nnc

// From a schedule to bytes: every fused node becomes a kernel and a call of it, pad and concat become kernels that write parts
// of one buffer, sums over grains are finished by a small kernel, a scan becomes a loop around the steps of its body; then values
// get offsets in one arena by lifetime.
//
// The body of a loop is scheduled like a function whose carries are states: a next value is written over the old one where that
// can be. A carry lives where its last value belongs and is set to the first before the loop; what is sliced or stacked is
// addressed in place, an entry further with every trip.
#include "passes/plan.h"

#include "ir/builder.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/access.h"
#include "passes/body.h"
#include "passes/form.h"
#include "passes/loop.h"
#include "passes/schedule.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace nnc {

namespace {

// Kernels and constants of the whole plan, each distinct one once.
class Pool {
public:
  explicit Pool(Plan &plan) : plan_(plan) {}

  int kernel(Kernel kernel) {
    auto [at, added] = kernels_.try_emplace(kernel_text(kernel, true), static_cast<int>(plan_.kernels.size()));
    if (added)
      plan_.kernels.push_back(std::move(kernel));
    return at->second;
  }

  Ref constant(const Tensor &data) {
    std::string bytes(reinterpret_cast<const char *>(data.bytes.data()), data.bytes.size());
    auto [at, added] = constants_.try_emplace(bytes, static_cast<int64_t>(plan_.constants.size()));
    if (added) {
      plan_.constant_starts.push_back(at->second);
      plan_.constants.insert(plan_.constants.end(), data.bytes.begin(), data.bytes.end());
      plan_.constants.resize(aligned(static_cast<int64_t>(plan_.constants.size())));
    }
    return {Ref::Space::constant, 0, at->second, static_cast<int64_t>(data.bytes.size())};
  }

private:
  Plan &plan_;
  std::map<std::string, int> kernels_;
  std::map<std::string, int64_t> constants_;
};

// Whether only the matrix B of a gemm is read through this pointer, and B is one matrix.
bool is_constant_matrix(const Kernel &kernel, const KernelPointer &pointer) {
  if (kernel.recipe != Recipe::gemm || !kernel.dot_axes.batch.empty())
    return false;
  const int b = kernel.nodes[kernel.dot].operands[1];
  const auto reads = [&](const KernelNode &node) {
    return is_load(node.op) && &kernel.pointers[node.access.pointer] == &pointer;
  };
  return reads(kernel.nodes[b]) && std::ranges::count_if(kernel.nodes, reads) == 1;
}

// What `fuse` leaves, which all here relies on; a module from text may be something else.
void require_kernels(const Region &region) {
  const auto is_stored = [&](Value v) { return stored_base(region, v) == v && !is_free(region.node(v)); };
  for (const Node &node : region.nodes) {
    const auto require = [&](bool holds, std::string_view otherwise) {
      if (!holds)
        throw Error(fmt::format("{} {}", title(node), otherwise));
    };
    require(stands_alone(node) || is_view(node.op) || node.op == Op::arg || node.op == Op::constant, "is in no kernel");
    const int slices = node.scan.carries + node.scan.slices;
    for (int k = node.scan.carries; k < slices; ++k)
      require(entries_of(region, node.operands[k]).has_value(), "has a slice whose entries do not lie whole in memory");
    for (size_t k = slices; k < node.operands.size(); ++k)
      require(!node.body || is_stored(node.operands[k]), "has an operand that is in no memory");
  }
}

// What a step is called with, and its name for the text.
struct Arg {
  Ref ref;
  std::string name;
};

// Memory of the workspace that is in use from one step to another.
struct Block {
  int64_t bytes = 0;
  int first = 0, last = 0; // steps
  int64_t offset = 0;
};

class EntryPlanner {
public:
  EntryPlanner(Function function, const Plan &plan, Pool &pool) : plan_(plan), pool_(pool), function_(std::move(function)) {}

  PlanEntry run() {
    describe();
    add_items();
    place_blocks();
    return std::move(entry_);
  }

private:
  const Plan &plan_;
  Pool &pool_;
  PlanEntry entry_;
  std::vector<Block> blocks_;
  // Refs into the workspace hold the block's number as `index` until the blocks are placed.

  // The function, or the body of a loop, whose steps are being added.
  Function function_;
  Schedule schedule_;
  std::vector<std::vector<std::string>> texts_;
  std::map<Value, int> block_of_;
  std::vector<Arg> args_, stacks_; // of a body: where its arguments are, carries first, and the stacks
  size_t loops_ = 0;               // around it
  double times_ = 1;               // it runs

  void add_items() {
    require_kernels(function_);
    schedule_ = make_schedule(function_);
    texts_ = value_texts(function_);
    for (const Schedule::Item &item : schedule_.items) {
      if (item.node < 0)
        add_check(item.check);
      else if (function_.nodes[item.node].op == Op::fused)
        add_call(item.node);
      else if (function_.nodes[item.node].op == Op::scan)
        add_loop(item.node);
      else
        add_parts(item.node);
    }
  }

  void describe() {
    entry_.name = function_.name;
    entry_.doc = function_.doc;
    entry_.loc = function_.loc;
    for (int a = 0; a < function_.args; ++a)
      if (function_.arg_info[a].state < 0)
        entry_.inputs.push_back({function_.nodes[a].name(), function_.nodes[a].type()});
    for (const Result &result : function_.function_results) {
      if (result.kind == Result::Kind::output)
        entry_.outputs.push_back({result.name, function_.type(result.value)});
      if (result.kind == Result::Kind::check)
        entry_.checks.push_back({result.name, result.loc});
      entry_.writes_state |= result.kind == Result::Kind::state;
    }
  }

  int new_block(int64_t bytes) {
    blocks_.push_back({aligned(bytes), static_cast<int>(entry_.steps.size()), static_cast<int>(entry_.steps.size()), 0});
    return static_cast<int>(blocks_.size()) - 1;
  }

  // Where `value` (never a view) is stored; the step being built uses it.
  Ref ref(Value value) {
    const Node &node = function_.node(value);
    const Type &type = function_.type(value);
    if (node.op == Op::constant)
      return pool_.constant(*node.data);
    if (loops_ > 0 && node.op == Op::arg)
      return used(args_[value.node].ref);
    if (node.op == Op::arg) {
      int state = function_.arg_info[value.node].state;
      if (state >= 0)
        return {Ref::Space::state, 0, plan_.states[state].offset, type.bytes()};
      int input = 0;
      for (int a = 0; a < value.node; ++a)
        input += function_.arg_info[a].state < 0;
      return {Ref::Space::input, input, 0, type.bytes()};
    }
    if (auto at = schedule_.storage.find(value); at != schedule_.storage.end()) {
      if (loops_ > 0)
        return used((at->second.kind == Storage::Kind::state ? args_ : stacks_)[at->second.index].ref);
      if (at->second.kind == Storage::Kind::state)
        return {Ref::Space::state, 0, plan_.states[at->second.index].offset, type.bytes()};
      return {Ref::Space::output, at->second.index, 0, type.bytes()};
    }
    auto [at, added] = block_of_.try_emplace(value, 0);
    if (added)
      at->second = new_block(type.bytes());
    return block_ref(at->second, type.bytes());
  }

  Ref used(const Ref &ref) {
    if (ref.space == Ref::Space::workspace)
      blocks_[ref.index].last = static_cast<int>(entry_.steps.size());
    return ref;
  }

  Arg arg(Value value) { return {ref(value), texts_[value.node][value.index].substr(1)}; }

  Ref block_ref(int block, int64_t bytes) {
    blocks_[block].last = static_cast<int>(entry_.steps.size());
    return {Ref::Space::workspace, block, 0, bytes};
  }

  void add_step(Kernel kernel, const std::vector<Arg> &args, Loc loc) {
    Step step;
    entry_.slot_bytes = std::max(entry_.slot_bytes, kernel.scratch_bytes);
    entry_.flop += times_ * kernel.flop;
    entry_.bytes += times_ * kernel.bytes;
    for (const Arg &arg : args) {
      step.args.push_back(arg.ref);
      step.note += (step.note.empty() ? "" : " ") + arg.name;
    }
    step.loc = loc;
    for (KernelNode &node : kernel.nodes) // constants, and what only moves elements
      if (node.loc.line == 0)
        node.loc = loc;
    step.kernel = pool_.kernel(std::move(kernel));
    entry_.steps.push_back(std::move(step));
  }

  void add_check(int result) {
    Step step;
    const Result &check = function_.function_results[result];
    for (int r = 0; r < result; ++r)
      step.check += function_.function_results[r].kind == Result::Kind::check;
    ++step.check;
    const StoredNumber holds = *stored_number(function_, check.value);
    Arg tested = arg(holds.in);
    tested.ref.offset += holds.offset * dtype_size(DType::boolean);
    tested.ref.bytes = dtype_size(DType::boolean);
    step.args = {tested.ref};
    step.note = tested.name;
    step.loc = check.loc;
    entry_.steps.push_back(std::move(step));
  }

  void add_call(int index) {
    const Node &node = function_.nodes[index];
    Kernel kernel = kernel_of(node);
    std::vector<Arg> args;
    std::vector<std::pair<Value, int>> partials; // result, block of its partials
    size_t root = 0;
    for (KernelPointer &pointer : kernel.pointers) {
      if (pointer.read) {
        const Node &source = node.body->node(pointer.value);
        const bool inside = source.op == Op::constant;
        args.push_back(inside ? Arg{pool_.constant(*source.data), source.name()} : arg(node.operands[pointer.value.node]));
        const Node &from = inside ? source : function_.node(node.operands[pointer.value.node]);
        if (from.op == Op::constant && is_constant_matrix(kernel, pointer))
          pointer.constant = from.data;
        continue;
      }
      Value result{index, static_cast<int>(root)};
      if (leaves_partials(kernel, kernel.nodes[kernel.roots[root].node])) {
        int64_t bytes = function_.type(result).bytes() * kernel.grains;
        int block = new_block(bytes);
        partials.push_back({result, block});
        args.push_back({block_ref(block, bytes), texts_[index][root].substr(1) + ".partials"});
      } else {
        args.push_back(arg(result));
      }
      ++root;
    }
    write_in_place(kernel, args);
    visit_changes(kernel);
    int64_t grains = kernel.grains;
    std::vector<Op> ops;
    for (auto [result, block] : partials)
      ops.push_back(kernel.nodes[kernel.roots[result.index].node].op);
    add_step(std::move(kernel), args, node.loc);
    for (size_t p = 0; p < partials.size(); ++p)
      combine(ops[p], partials[p].first, partials[p].second, grains, node.loc);
  }

  // An operand and a root in the same memory are one pointer.
  static void write_in_place(Kernel &kernel, std::vector<Arg> &args) {
    for (KernelRoot &root : kernel.roots) {
      int written = root.access.pointer;
      for (size_t p = 0; p < args.size(); ++p) {
        if (static_cast<int>(p) == written || !(args[p].ref == args[written].ref))
          continue;
        kernel.pointers[p].written = true;
        kernel.pointers.erase(kernel.pointers.begin() + written);
        args.erase(args.begin() + written);
        root.access.pointer = static_cast<int>(p);
        for (KernelRoot &other : kernel.roots)
          if (other.access.pointer > written)
            --other.access.pointer;
        break;
      }
    }
  }

  // `b[i] = v` over b itself writes v, and leaves the rest alone.
  static void visit_changes(Kernel &kernel) {
    if (kernel.recipe != Recipe::loop || kernel.stages > 1 || kernel.rows < static_cast<int>(kernel.axes.size()))
      return;
    bool found = false;
    for (int a = 0; a < kernel.rows; ++a)
      found |= (kernel.axes[a].only = only_change(kernel, a)) >= 0;
    if (!found)
      return;
    kernel.vector_axis = -1;
    shape_kernel(kernel);
  }

  // The sum (or other reduction) of the partials that the grains left, in order.
  void combine(Op op, Value result, int block, int64_t grains, Loc loc) {
    const Type &type = function_.type(result);
    Region body;
    Builder builder(body);
    builder.loc = loc;
    Shape shape = type.shape;
    shape.insert(shape.begin(), grains);
    Value partials = builder.arg({type.dtype, shape}, "partials");
    Value whole = builder.reduce(op, partials, {0});
    builder.set_name(whole, function_.node(result).names[result.index]);
    body.results = {whole};
    Kernel kernel = *form_body(body).kernel;
    const Arg whole_arg = arg(result);
    add_step(std::move(kernel), {{block_ref(block, type.bytes() * grains), whole_arg.name + ".partials"}, whole_arg}, loc);
  }

  // pad fills, then writes its operand into the frame; concat writes one operand after another.
  void add_parts(int index) {
    const Node &node = function_.nodes[index];
    Shape strides = contiguous_strides(node.type().shape);
    if (node.op == Op::pad) {
      Region frame;
      Builder builder(frame);
      Value fill = stored_base(function_, node.operands[1]);
      Value scalar = is_free(function_.node(fill)) ? builder.constant(*function_.node(fill).data)
                                                   : builder.arg(function_.type(fill), "fill");
      Value splat = builder.broadcast(builder.reshape(scalar, {}), node.type().shape, {});
      add_part(frame, splat, frame.args ? fill : Value{}, 0, strides, arg({index, 0}), index);
      int64_t offset = 0;
      for (size_t i = 0; i < strides.size(); ++i) {
        offset += node.attrs.start[i] * strides[i];
        strides[i] *= node.attrs.stride[i];
      }
      add_part(function_, node.operands[0], stored_base(function_, node.operands[0]), offset, strides, arg({index, 0}), index);
    } else {
      int64_t offset = 0;
      for (Value operand : node.operands) {
        add_part(function_, operand, stored_base(function_, operand), offset, strides, arg({index, 0}), index);
        offset += function_.type(operand).shape[node.attrs.axis] * strides[node.attrs.axis];
      }
    }
  }

  void add_part(const Region &region, Value value, Value source, int64_t offset, const Shape &strides, const Arg &to, int index) {
    Kernel kernel = copy_kernel(region, value, offset, strides);
    kernel.pointers.back().elements = to.ref.bytes / dtype_size(region.type(value).dtype);
    std::vector<Arg> args;
    if (kernel.pointers[0].read)
      args.push_back(arg(source));
    used(to.ref);
    args.push_back(to);
    add_step(std::move(kernel), args, function_.nodes[index].loc);
  }

  // Entry t of a tensor in step t, seen from inside a loop of the scan.
  Ref entry(Ref ref, const ScanInfo &scan, int64_t offset, int64_t stride, int64_t bytes) const {
    ref.offset += offset + (scan.reverse ? (scan.steps - 1) * stride : 0);
    ref.bytes = bytes;
    ref.strides.resize(loops_);
    ref.strides.push_back(scan.reverse ? -stride : stride);
    return ref;
  }

  void add_loop(int index) {
    const Node node = function_.nodes[index];
    const ScanInfo &scan = node.scan;
    const Region &body = *node.body;
    std::vector<Arg> args, stacks;
    for (int k = 0; k < static_cast<int>(node.types.size()); ++k) {
      const Value result{index, k};
      Arg place = arg(result);
      if (k >= scan.carries) {
        const int64_t bytes = body.type(body.results[k]).bytes();
        place.ref = entry(place.ref, scan, 0, bytes, bytes);
        stacks.push_back(place);
        continue;
      }
      const Value first = node.operands[k], source = stored_base(function_, first);
      if (source != first || is_free(function_.node(first)) || ref(first) != place.ref)
        add_part(function_, first, source, 0, contiguous_strides(node.types[k].shape), place, index);
      args.push_back(place);
    }
    for (int k = scan.carries; k < body.args; ++k) {
      const Value operand = node.operands[k];
      if (k >= scan.carries + scan.slices) {
        args.push_back(arg(operand));
        continue;
      }
      const Entries entries = *entries_of(function_, operand);
      const int64_t size = dtype_size(function_.type(operand).dtype);
      args.push_back(arg(entries.value));
      args.back().ref = entry(args.back().ref, scan, entries.offset * size, entries.stride * size, body.nodes[k].type().bytes());
    }

    const size_t loop = entry_.steps.size(), older_blocks = blocks_.size();
    Step step;
    step.trips = scan.steps;
    step.loc = node.loc;
    entry_.steps.push_back(std::move(step));
    Function function = std::exchange(function_, body_function(node, true));
    Schedule schedule = std::move(schedule_);
    std::vector<std::vector<std::string>> texts = std::move(texts_);
    std::map<Value, int> block_of = std::exchange(block_of_, {});
    std::vector<Arg> outer_args = std::exchange(args_, std::move(args)), outer_stacks = std::exchange(stacks_, std::move(stacks));
    ++loops_;
    times_ *= static_cast<double>(scan.steps);
    add_items();
    times_ /= static_cast<double>(scan.steps);
    --loops_;
    function_ = std::move(function);
    schedule_ = std::move(schedule);
    texts_ = std::move(texts);
    block_of_ = std::move(block_of);
    args_ = std::move(outer_args);
    stacks_ = std::move(outer_stacks);

    const int last = static_cast<int>(entry_.steps.size()) - 1;
    entry_.steps[loop].inside = last - static_cast<int>(loop);
    for (size_t b = 0; b < older_blocks; ++b) // what comes in from outside is needed until the last trip
      if (blocks_[b].last >= static_cast<int>(loop))
        blocks_[b].last = last;
  }

  // First fit, in order of birth: the lowest place that is free for the whole life of the block.
  void place_blocks() {
    for (size_t b = 0; b < blocks_.size(); ++b) {
      std::vector<const Block *> rivals;
      for (size_t other = 0; other < b; ++other)
        if (blocks_[other].last >= blocks_[b].first && blocks_[other].first <= blocks_[b].last)
          rivals.push_back(&blocks_[other]);
      std::sort(rivals.begin(), rivals.end(), [](const Block *x, const Block *y) { return x->offset < y->offset; });
      int64_t offset = 0;
      for (const Block *rival : rivals) {
        if (rival->offset - offset >= blocks_[b].bytes)
          break;
        offset = std::max(offset, rival->offset + rival->bytes);
      }
      blocks_[b].offset = offset;
      entry_.workspace_bytes = std::max(entry_.workspace_bytes, offset + blocks_[b].bytes);
    }
    for (Step &step : entry_.steps)
      for (Ref &arg : step.args)
        if (arg.space == Ref::Space::workspace) {
          arg.offset += blocks_[arg.index].offset;
          arg.index = 0;
        }
  }
};

} // namespace

Plan make_plan(const Module &module, const std::string &model) {
  Plan plan;
  plan.model = model;
  plan.files = module.files;
  plan.paths = module.paths;
  for (const State &state : module.states) {
    plan.states.push_back({state, plan.state_bytes});
    plan.state_bytes += aligned(state.type.bytes());
  }
  Pool pool(plan);
  for (const Function &function : module.functions)
    plan.entries.push_back(EntryPlanner(function, plan, pool).run());
  return plan;
}

} // namespace nnc

// From a schedule to bytes: every fused node becomes a kernel and a call of it, pad and concat become kernels that write parts
// of one buffer, sums over grains are finished by a small kernel; then values get offsets in one arena by lifetime.
#include "passes/plan.h"

#include "ir/builder.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/access.h"
#include "passes/body.h"
#include "passes/form.h"
#include "passes/schedule.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace nnc {

namespace {

int64_t aligned(int64_t bytes) { return (bytes + buffer_alignment - 1) / buffer_alignment * buffer_alignment; }

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
  EntryPlanner(const Module &module, Function function, const Plan &plan, Pool &pool)
      : module_(module), function_(std::move(function)), plan_(plan), pool_(pool) {}

  PlanEntry run() {
    describe();
    schedule_ = make_schedule(function_);
    texts_ = value_texts(function_);
    for (const Schedule::Item &item : schedule_.items) {
      if (item.node < 0)
        add_check(item.check);
      else if (function_.nodes[item.node].op == Op::fused)
        add_call(item.node);
      else
        add_parts(item.node);
    }
    place_blocks();
    return std::move(entry_);
  }

private:
  const Module &module_;
  Function function_;
  const Plan &plan_;
  Pool &pool_;
  Schedule schedule_;
  std::vector<std::vector<std::string>> texts_;
  PlanEntry entry_;
  std::vector<Block> blocks_;
  std::map<Value, int> block_of_;
  // Refs into the workspace hold the block's number as `index` until the blocks are placed.

  void describe() {
    entry_.name = function_.name;
    entry_.doc = function_.doc;
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
      if (at->second.kind == Storage::Kind::state)
        return {Ref::Space::state, 0, plan_.states[at->second.index].offset, type.bytes()};
      return {Ref::Space::output, at->second.index, 0, type.bytes()};
    }
    auto [at, added] = block_of_.try_emplace(value, 0);
    if (added)
      at->second = new_block(type.bytes());
    return block_ref(at->second, type.bytes());
  }

  Arg arg(Value value) { return {ref(value), texts_[value.node][value.index].substr(1)}; }

  Ref block_ref(int block, int64_t bytes) {
    blocks_[block].last = static_cast<int>(entry_.steps.size());
    return {Ref::Space::workspace, block, 0, bytes};
  }

  void add_step(Kernel kernel, const std::vector<Arg> &args, Loc loc) {
    Step step;
    entry_.slot_bytes = std::max(entry_.slot_bytes, kernel.scratch_bytes);
    entry_.flop += kernel.flop;
    entry_.bytes += kernel.bytes;
    for (const Arg &arg : args) {
      step.args.push_back(arg.ref);
      step.note += (step.note.empty() ? "" : " ") + arg.name;
    }
    step.loc = loc;
    step.kernel = pool_.kernel(std::move(kernel));
    entry_.steps.push_back(std::move(step));
  }

  void add_check(int result) {
    Step step;
    const Result &check = function_.function_results[result];
    for (int r = 0; r < result; ++r)
      step.check += function_.function_results[r].kind == Result::Kind::check;
    ++step.check;
    const Arg tested = arg(stored_base(function_, check.value));
    step.args = {tested.ref};
    step.note = tested.name;
    step.loc = check.loc;
    entry_.steps.push_back(std::move(step));
  }

  void add_call(int index) {
    const Node &node = function_.nodes[index];
    Formed formed = form_body(*node.body);
    if (!formed.kernel)
      throw Error(fmt::format("internal error: {}: %{} is no kernel: {}", function_.name, node.name(), formed.refusal));
    Kernel kernel = std::move(*formed.kernel);
    std::vector<Arg> args;
    std::vector<std::pair<Value, int>> partials; // result, block of its partials
    size_t root = 0;
    for (KernelPointer &pointer : kernel.pointers) {
      if (pointer.read) {
        const Node &source = node.body->node(pointer.value);
        args.push_back(source.op == Op::constant ? Arg{pool_.constant(*source.data), source.name()}
                                                 : arg(node.operands[pointer.value.node]));
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
      add_part(frame, splat, frame.args ? fill : Value{}, 0, strides, index);
      int64_t offset = 0;
      for (size_t i = 0; i < strides.size(); ++i) {
        offset += node.attrs.start[i] * strides[i];
        strides[i] *= node.attrs.stride[i];
      }
      add_part(function_, node.operands[0], stored_base(function_, node.operands[0]), offset, strides, index);
    } else {
      int64_t offset = 0;
      for (Value operand : node.operands) {
        add_part(function_, operand, stored_base(function_, operand), offset, strides, index);
        offset += function_.type(operand).shape[node.attrs.axis] * strides[node.attrs.axis];
      }
    }
  }

  void add_part(const Region &region, Value value, Value source, int64_t offset, const Shape &strides, int index) {
    Kernel kernel = copy_kernel(region, value, offset, strides);
    kernel.pointers.back().elements = function_.nodes[index].type().elements();
    std::vector<Arg> args;
    if (kernel.pointers[0].read)
      args.push_back(arg(source));
    args.push_back(arg({index, 0}));
    add_step(std::move(kernel), args, function_.nodes[index].loc);
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
          arg.offset = blocks_[arg.index].offset;
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
    plan.entries.push_back(EntryPlanner(module, function, plan, pool).run());
  return plan;
}

} // namespace nnc

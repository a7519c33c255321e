// The verifier for plans: what code generation and hosts take for granted. A kernel's table agrees with itself; every address
// lies inside its block, aligned; what is read was written; steps are free to run their grains in any order; nothing is written
// before the last check. Loops are gone through trip by trip.
#include "ir/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

namespace nnc {

namespace {

using Problem = std::optional<std::string>;

template <typename... Args> Problem problem(fmt::format_string<Args...> format, Args &&...args) {
  return fmt::format(format, std::forward<Args>(args)...);
}

// The smallest and the largest element an access reaches.
std::pair<int64_t, int64_t> reach(const Kernel &kernel, const Access &access) {
  int64_t low = access.offset, high = access.offset;
  for (size_t a = 0; a < kernel.axes.size(); ++a)
    (access.strides[a] < 0 ? low : high) += access.strides[a] * (kernel.axes[a].size - 1);
  return {low, high};
}

class KernelVerifier {
public:
  explicit KernelVerifier(const Kernel &kernel) : kernel(kernel), roots_of(kernel.pointers.size()) {}

  Problem run() {
    if (kernel.rows < 0 || kernel.rows > axis_count() || axis_count() > 64)
      return problem("{} row axes of {}", kernel.rows, axis_count());
    for (int a = 0; a < axis_count(); ++a)
      if (kernel.axes[a].size < 2 || kernel.axes[a].inner != (a >= kernel.rows))
        return problem("axis {} of size {} is {}", a, kernel.axes[a].size, kernel.axes[a].inner ? "inner" : "a row axis");
    if (kernel.grains < 1 ||
        (kernel.grains > 1 && (kernel.grain_axis >= kernel.rows || kernel.grains > kernel.axes[kernel.grain_axis].size)))
      return problem("{} grains of axis {}", kernel.grains, kernel.grain_axis);
    for (int i = 0; i < static_cast<int>(kernel.nodes.size()); ++i)
      if (Problem found = node(i))
        return problem("node {}: {}", i, *found);
    for (int a = 0; a < axis_count(); ++a)
      if (Problem found = axis(a))
        return problem("axis {}: {}", a, *found);
    for (size_t r = 0; r < kernel.roots.size(); ++r)
      if (Problem found = root(kernel.roots[r]))
        return problem("root {}: {}", r, *found);
    for (size_t p = 0; p < kernel.pointers.size(); ++p)
      if (Problem found = pointer(static_cast<int>(p)))
        return problem("pointer {}: {}", p, *found);
    return std::nullopt;
  }

private:
  const Kernel &kernel;
  std::vector<std::vector<int>> roots_of; // pointer: roots that write it

  int axis_count() const { return static_cast<int>(kernel.axes.size()); }

  // `by_data`: the access of a gather's load or a scatter_add's root, where every place counts.
  Problem access(const KernelNode &node, const Access &access, bool by_data) const {
    if (!by_data)
      return this->access(access, node.dtype);
    if (node.attrs.shape.size() != 1 || node.attrs.stride.size() != 1 || node.attrs.shape[0] < 1)
      return problem("has no axis of places");
    if (kernel.nodes[node.operands.back()].dtype != DType::i32)
      return problem("places are {}", dtype_name(kernel.nodes[node.operands.back()].dtype));
    Access last = access;
    last.offset += (node.attrs.shape[0] - 1) * node.attrs.stride[0];
    if (Problem found = this->access(access, node.dtype))
      return found;
    return this->access(last, node.dtype);
  }

  Problem access(const Access &access, DType dtype) const {
    if (access.pointer < 0 || access.pointer >= static_cast<int>(kernel.pointers.size()))
      return problem("no pointer {}", access.pointer);
    if (static_cast<int>(access.strides.size()) != axis_count())
      return problem("{} strides for {} axes", access.strides.size(), axis_count());
    const KernelPointer &pointer = kernel.pointers[access.pointer];
    if (pointer.dtype != dtype)
      return problem("pointer {} is {}, not {}", access.pointer, dtype_name(pointer.dtype), dtype_name(dtype));
    const auto [low, high] = reach(kernel, access);
    if (low < 0 || high >= pointer.elements)
      return problem("reaches elements {}..{} of {}", low, high, pointer.elements);
    return std::nullopt;
  }

  Problem node(int i) const {
    const KernelNode &node = kernel.nodes[i];
    uint64_t below = 0;
    for (int operand : node.operands) {
      if (operand < 0 || operand >= i)
        return problem("operand {} is no earlier node", operand);
      below |= kernel.nodes[operand].depends;
      if (kernel.nodes[operand].stage > node.stage)
        return problem("operand {} is of stage {}, after {}", operand, kernel.nodes[operand].stage, node.stage);
    }
    if (axis_count() < 64 && node.depends >> axis_count() != 0)
      return problem("depends on axes that do not exist");
    if (const size_t operands = node.op == Op::gather || node.op == Op::argsort ? 1
                                : node.op == Op::scatter_add                    ? 2
                                                                                : 0;
        operands > node.operands.size())
      return problem("has {} operands", node.operands.size());
    if (is_load(node.op) || node.op == Op::iota) {
      if (is_load(node.op)) {
        if (Problem found = access(node, node.access, node.op == Op::gather))
          return found;
        if (!kernel.pointers[node.access.pointer].read)
          return problem("pointer {} is not read", node.access.pointer);
      }
      for (int a = 0; a < axis_count(); ++a)
        if ((node.access.strides[a] != 0 || (below >> a & 1)) != (node.depends >> a & 1))
          return problem("axis {}: stride {} against the dependence", a, node.access.strides[a]);
    } else if (node.op == Op::scatter_add) {
      for (int64_t a : node.attrs.axes) {
        if (a >= kernel.rows)
          return problem("axis {} is no row axis", a);
        if (a == kernel.vector_axis || (a == kernel.grain_axis && kernel.grains > 1))
          return problem("adds along axis {}, which is cut", a);
        below &= ~(uint64_t{1} << a);
      }
      if (!node.partial || node.depends != below)
        return problem("depends on {:x}, its operands beside the summed axes on {:x}", node.depends, below);
      if (kernel.nodes[node.operands[1]].depends & node.depends)
        return problem("its places vary along more than the summed axes");
    } else if (node.op == Op::argsort) {
      if (kernel.recipe != Recipe::sort || axis_count() != kernel.rows + 1 || kernel.roots.size() != 1)
        return problem("is not sorted alone");
      if (node.depends != (below | uint64_t{1} << kernel.rows))
        return problem("depends on {:x}, its operand on {:x}", node.depends, below);
      if (kernel.scratch_bytes < sort_scratch_bytes(kernel.nodes[node.operands[0]].dtype, kernel.axes.back().size))
        return problem("does not fit a scratch of {} bytes", kernel.scratch_bytes);
    } else if (is_reduce(node.op) || node.op == Op::dot) {
      if (!node.partial && sweep(node) >= kernel.stages)
        return problem("is reduced in stage {} of {}", sweep(node), kernel.stages);
      for (int a = 0; a < axis_count(); ++a) {
        const bool listed = std::ranges::find(node.attrs.axes, a) != node.attrs.axes.end();
        if (node.depends >> a & 1 && (node.partial ? listed : kernel.axes[a].inner))
          return problem("varies along axis {}, which it reduces", a);
        if (node.partial && listed && kernel.axes[a].inner)
          return problem("axis {} is no row axis", a);
      }
    } else if (is_elementwise(node.op) && node.depends != below) {
      return problem("depends on {:x}, its operands on {:x}", node.depends, below);
    }
    return std::nullopt;
  }

  Problem axis(int a) const {
    if (kernel.axes[a].only < 0)
      return std::nullopt;
    if (kernel.axes[a].only != only_change(kernel, a))
      return problem("more changes along it than one index");
    if (kernel.recipe != Recipe::loop || kernel.axes[a].inner || a == kernel.vector_axis ||
        (a == kernel.grain_axis && kernel.grains > 1))
      return problem("one index of an axis that is cut or swept");
    return std::nullopt;
  }

  Problem root(const KernelRoot &root) {
    if (root.node < 0 || root.node >= static_cast<int>(kernel.nodes.size()))
      return problem("no node {}", root.node);
    if (Problem found = access(kernel.nodes[root.node], root.access, kernel.nodes[root.node].op == Op::scatter_add))
      return found;
    if (!kernel.pointers[root.access.pointer].written)
      return problem("pointer {} is not written", root.access.pointer);
    roots_of[root.access.pointer].push_back(root.node);
    // A partial root adds up at every point that is visited, so none may be visited again with the same place and term.
    const KernelNode &node = kernel.nodes[root.node];
    for (int a = 0; a < axis_count() && node.partial; ++a)
      if (root.access.strides[a] == 0 && std::ranges::find(node.attrs.axes, a) == node.attrs.axes.end() &&
          (a < kernel.rows || is_swept(kernel, root)))
        return problem("is added again along axis {}", a);
    if (is_swept(kernel, root) && node.stage >= kernel.stages)
      return problem("is written in stage {} of {}", node.stage, kernel.stages);
    return std::nullopt;
  }

  // In place: each element is read, if at all, at the point that writes it, and in no later stage. That also covers rows that
  // are kept where they will leave: such a row is written in the root's stage.
  Problem pointer(int p) const {
    const KernelPointer &pointer = kernel.pointers[p];
    if (pointer.written != (roots_of[p].size() == 1))
      return problem("{} roots write it", roots_of[p].size());
    if (!pointer.read || !pointer.written)
      return std::nullopt;
    const auto root = std::ranges::find_if(kernel.roots, [&](const KernelRoot &r) { return r.access.pointer == p; });
    const int written = kernel.nodes[root->node].stage;
    if (leaves_partials(kernel, kernel.nodes[root->node]))
      return problem("partials in place");
    const std::vector<int> last = last_stages();
    for (size_t i = 0; i < kernel.nodes.size(); ++i)
      if (const KernelNode &node = kernel.nodes[i]; is_load(node.op) && node.access.pointer == p) {
        if (node.op == Op::gather || node.access != root->access)
          return problem("is in place, but read at other elements");
        if (last[i] > written)
          return problem("is overwritten in stage {} and read in stage {}", written, last[i]);
      }
    return std::nullopt;
  }

  // The last stage that computes each node: what has no home is computed again wherever it is used.
  std::vector<int> last_stages() const {
    std::vector<int> last(kernel.nodes.size(), -1);
    for (const KernelRoot &root : kernel.roots)
      last[root.node] = kernel.nodes[root.node].stage;
    for (int i = static_cast<int>(kernel.nodes.size()) - 1; i >= 0; --i) {
      const KernelNode &node = kernel.nodes[i];
      if (node.home != Home::none || is_reduce(node.op) || node.op == Op::dot)
        last[i] = sweep(node);
      for (int operand : node.operands)
        last[operand] = std::max(last[operand], last[i]);
    }
    return last;
  }
};

// Byte ranges, joined where they touch.
class Ranges {
public:
  void add(int64_t begin, int64_t end) {
    for (auto it = ranges.begin(); it != ranges.end();)
      if (it->first <= end && begin <= it->second) {
        begin = std::min(begin, it->first);
        end = std::max(end, it->second);
        it = ranges.erase(it);
      } else {
        ++it;
      }
    ranges[begin] = end;
  }
  bool covers(int64_t begin, int64_t end) const {
    auto it = ranges.upper_bound(begin);
    return begin >= end || (it != ranges.begin() && std::prev(it)->second >= end);
  }

private:
  std::map<int64_t, int64_t> ranges;
};

class EntryVerifier {
public:
  EntryVerifier(const Plan &plan, const PlanEntry &entry) : plan(plan), entry(entry), outputs(entry.outputs.size()) {}

  Problem run() {
    if (Problem found = steps(0, entry.steps.size()))
      return found;
    for (size_t i = 0; i < outputs.size(); ++i)
      if (!outputs[i].covers(0, entry.outputs[i].type.bytes()))
        return problem("output `{}` is not written", entry.outputs[i].name);
    return std::nullopt;
  }

private:
  const Plan &plan;
  const PlanEntry &entry;
  std::vector<Ranges> outputs;
  Ranges workspace;
  bool has_written = false;   // an output or state
  std::vector<int64_t> trips; // of the loops around the step: how many are done

  // Every trip of every loop, so that each address is looked at.
  Problem steps(size_t begin, size_t end) {
    for (size_t s = begin; s < end; ++s) {
      const Step &step = entry.steps[s];
      if (step.trips == 0) {
        if (Problem found = this->step(step))
          return trips.empty() ? problem("step {}: {}", s, *found) : problem("step {}, trip {}: {}", s, trips.back(), *found);
        continue;
      }
      const size_t inner_end = s + 1 + step.inside;
      if (step.trips < 0 || step.inside < 0 || inner_end > end || step.kernel >= 0 || !step.args.empty())
        return problem("step {}: a loop of {} trips and {} steps, {} of them there", s, step.trips, step.inside, end - s - 1);
      trips.push_back(0);
      for (; trips.back() < step.trips; ++trips.back())
        if (Problem found = steps(s + 1, inner_end))
          return found;
      trips.pop_back();
      s = inner_end - 1;
    }
    return std::nullopt;
  }

  // Where the ref is in the trips that run.
  Problem place(Ref &ref) const {
    if (ref.strides.size() > trips.size())
      return problem("{} strides in {} loops", ref.strides.size(), trips.size());
    for (size_t loop = 0; loop < ref.strides.size(); ++loop)
      ref.offset += trips[loop] * ref.strides[loop];
    ref.strides.clear();
    return block(ref);
  }

  Problem block(const Ref &ref) const {
    const auto listed = [&](const std::vector<PlanValue> &values) {
      return ref.index >= 0 && ref.index < static_cast<int>(values.size()) ? values[ref.index].type.bytes() : -1;
    };
    const int64_t size = ref.space == Ref::Space::input       ? listed(entry.inputs)
                         : ref.space == Ref::Space::output    ? listed(entry.outputs)
                         : ref.space == Ref::Space::state     ? plan.state_bytes
                         : ref.space == Ref::Space::workspace ? entry.workspace_bytes
                                                              : static_cast<int64_t>(plan.constants.size());
    if (ref.offset < 0 || ref.bytes < 0 || ref.offset > size - ref.bytes)
      return problem("bytes {} + {} lie outside a block of {}", ref.offset, ref.bytes, size);
    return std::nullopt;
  }

  Problem read(const Ref &ref) const {
    if (ref.space == Ref::Space::workspace && !workspace.covers(ref.offset, ref.offset + ref.bytes))
      return problem("reads workspace {} + {} before it is written", ref.offset, ref.bytes);
    if (ref.space == Ref::Space::output && !outputs[ref.index].covers(ref.offset, ref.offset + ref.bytes))
      return problem("reads output `{}` before it is written", entry.outputs[ref.index].name);
    return std::nullopt;
  }

  Problem step(Step step) {
    for (Ref &ref : step.args)
      if (Problem found = place(ref))
        return found;
    return step.kernel < 0 ? check(step) : call(step);
  }

  Problem check(const Step &step) const {
    if (step.args.size() != 1 || step.check < 0 || step.check >= static_cast<int>(entry.checks.size()))
      return problem("no check {}", step.check);
    if (has_written)
      return problem("check {} comes after a write to outputs or state", step.check);
    return read(step.args[0]);
  }

  Problem call(const Step &step) {
    if (step.kernel >= static_cast<int>(plan.kernels.size()))
      return problem("no kernel {}", step.kernel);
    const Kernel &kernel = plan.kernels[step.kernel];
    if (kernel.pointers.size() != step.args.size())
      return problem("{} args for {} pointers", step.args.size(), kernel.pointers.size());
    if (kernel.scratch_bytes > entry.slot_bytes)
      return problem("scratch of {} bytes in a slot of {}", kernel.scratch_bytes, entry.slot_bytes);
    for (size_t i = 0; i < step.args.size(); ++i)
      if (Problem found = arg(kernel, static_cast<int>(i), step.args))
        return problem("arg {}: {}", i, *found);
    for (size_t i = 0; i < step.args.size(); ++i)
      if (kernel.pointers[i].written)
        written(step.args[i]);
    return std::nullopt;
  }

  Problem arg(const Kernel &kernel, int i, const std::vector<Ref> &args) const {
    const KernelPointer &pointer = kernel.pointers[i];
    const Ref &ref = args[i];
    if (ref.offset % dtype_size(pointer.dtype) != 0)
      return problem("offset {} is not aligned to {}", ref.offset, dtype_name(pointer.dtype));
    int64_t parts = 1;
    for (const KernelRoot &root : kernel.roots)
      if (root.access.pointer == i && leaves_partials(kernel, kernel.nodes[root.node]))
        parts = kernel.grains;
    if (pointer.elements * parts * dtype_size(pointer.dtype) > ref.bytes)
      return problem("{} elements do not fit {} bytes", pointer.elements * parts, ref.bytes);
    if (pointer.written && (ref.space == Ref::Space::input || ref.space == Ref::Space::constant))
      return problem("writes what may only be read");
    if (pointer.read)
      if (Problem found = read(ref))
        return found;
    for (int j = 0; j < static_cast<int>(args.size()); ++j)
      if (j != i && pointer.written && args[j].space == ref.space && args[j].index == ref.index && share(kernel, i, j, args))
        return problem("shares bytes with arg {}", j);
    return std::nullopt;
  }

  void written(const Ref &ref) {
    if (ref.space == Ref::Space::workspace)
      workspace.add(ref.offset, ref.offset + ref.bytes);
    else
      has_written = true;
    if (ref.space == Ref::Space::output)
      outputs[ref.index].add(ref.offset, ref.offset + ref.bytes);
  }

  // Whether two args have a byte in common. Parts of a concat interleave, so where the ranges overlap the elements decide.
  static bool share(const Kernel &kernel, int i, int j, const std::vector<Ref> &args) {
    if (args[i].offset >= args[j].offset + args[j].bytes || args[j].offset >= args[i].offset + args[i].bytes)
      return false;
    const std::vector<int64_t> a = addresses(kernel, i, args[i]), b = addresses(kernel, j, args[j]);
    std::vector<int64_t> both;
    std::ranges::set_intersection(a, b, std::back_inserter(both));
    return !both.empty();
  }

  // The bytes that a pointer reaches, ascending.
  static std::vector<int64_t> addresses(const Kernel &kernel, int pointer, const Ref &ref) {
    std::vector<int64_t> result;
    const int64_t size = dtype_size(kernel.pointers[pointer].dtype);
    const auto collect = [&](const KernelNode &node, const Access &access, bool by_data) {
      std::vector<int64_t> elements{access.offset};
      const auto spread = [&](int64_t size, int64_t stride) {
        const size_t count = elements.size();
        for (int64_t i = 1; i < size && stride != 0; ++i)
          for (size_t e = 0; e < count; ++e)
            elements.push_back(elements[e] + i * stride);
      };
      for (size_t a = 0; a < kernel.axes.size(); ++a)
        spread(kernel.axes[a].size, access.strides[a]);
      if (by_data)
        spread(node.attrs.shape[0], node.attrs.stride[0]);
      for (int64_t element : elements)
        for (int64_t byte = 0; byte < size; ++byte)
          result.push_back(ref.offset + element * size + byte);
    };
    for (const KernelNode &node : kernel.nodes)
      if (is_load(node.op) && node.access.pointer == pointer)
        collect(node, node.access, node.op == Op::gather);
    for (const KernelRoot &root : kernel.roots)
      if (root.access.pointer == pointer) {
        if (leaves_partials(kernel, kernel.nodes[root.node]))
          for (int64_t byte = 0; byte < ref.bytes; ++byte)
            result.push_back(ref.offset + byte);
        else
          collect(kernel.nodes[root.node], root.access, kernel.nodes[root.node].op == Op::scatter_add);
      }
    std::ranges::sort(result);
    return result;
  }
};

} // namespace

std::string verify_plan(const Plan &plan) {
  for (size_t k = 0; k < plan.kernels.size(); ++k)
    if (Problem found = KernelVerifier(plan.kernels[k]).run())
      return fmt::format("k{}: {}", k, *found);
  int64_t end = 0;
  for (const PlanState &state : plan.states) {
    if (state.offset < end || state.offset % buffer_alignment != 0)
      return fmt::format("state `{}`: offset {} after {} bytes", state.state.path, state.offset, end);
    end = state.offset + state.state.type.bytes();
  }
  if (end > plan.state_bytes)
    return fmt::format("states end at {} in a block of {} bytes", end, plan.state_bytes);
  for (const PlanEntry &entry : plan.entries)
    if (Problem found = EntryVerifier(plan, entry).run())
      return fmt::format("entry `{}`: {}", entry.name, *found);
  return "";
}

} // namespace nnc

// From nodes to a kernel table: find_axes finds the loops, then every member becomes a kernel node and every value read from
// memory a load with its strides.
//
// Refused is what cannot run at one point at a time: shifted or regrouped values, two different inner reductions, elementwise
// work below a dot, values that would be computed again for every row at a price. shape_kernel does the rest.
#include "passes/form.h"

#include "ir/error.h"
#include "passes/axes.h"
#include "passes/body.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>

namespace nnc {

namespace {

class Former {
public:
  // A root lies row-major in its own memory, unless `strides` (of the only root) say otherwise.
  Former(const Region &region, std::span<const int> members, std::span<const Value> roots, int64_t offset = 0,
         std::optional<Shape> strides = std::nullopt)
      : region_(region), members_(members), roots_(roots), root_offset_(offset), root_strides_(std::move(strides)) {}

  Kernel form() {
    if (members_.size() > most_nodes)
      throw Refused{fmt::format("more than {} nodes", most_nodes)};
    loops_ = find_axes(region_, members_, roots_);
    kernel_.axes = loops_.axes;
    kernel_.rows = loops_.rows;
    add_nodes();
    add_roots();
    check_kernel();
    return std::move(kernel_);
  }

private:
  const Region &region_;
  std::span<const int> members_;
  std::span<const Value> roots_;
  int64_t root_offset_;
  std::optional<Shape> root_strides_;
  KernelAxes loops_;
  Kernel kernel_;
  std::vector<int> node_of_member_;
  std::map<Value, int> pointer_of_value_;

  Access make_access(int pointer, int64_t offset, const Shape &strides, const std::vector<int> &dims) {
    Access access{pointer, offset, Shape(kernel_.axes.size(), 0)};
    for (size_t i = 0; i < dims.size(); ++i)
      if (dims[i] != no_axis)
        access.strides[dims[i]] = strides[i];
    return access;
  }

  static uint64_t varies(const Access &access) {
    uint64_t mask = 0;
    for (size_t a = 0; a < access.strides.size(); ++a)
      if (access.strides[a] != 0)
        mask |= uint64_t{1} << a;
    return mask;
  }

  uint64_t inner_mask() const { return ((uint64_t{1} << kernel_.axes.size()) - 1) & ~((uint64_t{1} << kernel_.rows) - 1); }

  int add_node(KernelNode node) {
    kernel_.nodes.push_back(std::move(node));
    return static_cast<int>(kernel_.nodes.size()) - 1;
  }

  // The kernel node that gives a use its value.
  int node_of_use(const Use &use, DType dtype) {
    const ElementSource &source = use.source;
    KernelNode node;
    node.dtype = dtype;
    switch (source.kind) {
    case ElementSource::Kind::member:
      return node_of_member_[member_index(members_, source.value.node)];
    case ElementSource::Kind::constant: {
      const Tensor &data = *region_.node(source.value).data;
      // A 64-bit number too wide for an instruction is read from the artefact's data: then the kernels that draw the initial
      // values of equally shaped parameters, each from its own stream, are one.
      if (dtype == DType::i64 && data.get_int(0) != static_cast<int32_t>(data.get_int(0)))
        return load(use, dtype);
      node.op = Op::constant;
      if (is_float(dtype))
        node.number = data.get(0);
      else
        node.integer = data.get_int(0);
      return add_node(node);
    }
    case ElementSource::Kind::index:
      node.op = Op::iota;
      node.access = make_access(-1, source.offset, source.strides, use.dims);
      break;
    default:
      return load(use, dtype);
    }
    return add_once(std::move(node));
  }

  int load(const Use &use, DType dtype) {
    const Value from = use.source.value;
    KernelNode node;
    node.dtype = dtype;
    node.op = Op::arg;
    node.access = read_access(use, dtype);
    node.loc = region_.node(from).loc;
    node.name = region_.node(from).names[from.index];
    return add_once(std::move(node));
  }

  Access read_access(const Use &use, DType dtype) {
    const ElementSource &source = use.source;
    auto [at, added] = pointer_of_value_.try_emplace(source.value, static_cast<int>(kernel_.pointers.size()));
    int64_t element_count = source.kind == ElementSource::Kind::constant ? 1 : region_.type(source.value).elements();
    if (added)
      kernel_.pointers.push_back(
          {dtype, true, false, source.value, element_count, region_.node(source.value).names[source.value.index]});
    return make_access(at->second, source.offset, source.strides, use.dims);
  }

  // A load or index, unless it is there already.
  int add_once(KernelNode node) {
    node.depends = varies(node.access);
    for (size_t i = 0; i < kernel_.nodes.size(); ++i)
      if (kernel_.nodes[i].op == node.op && kernel_.nodes[i].access == node.access && kernel_.nodes[i].dtype == node.dtype)
        return static_cast<int>(i);
    return add_node(std::move(node));
  }

  void add_nodes() {
    for (size_t m = 0; m < members_.size(); ++m) {
      const Node &source = region_.nodes[members_[m]];
      KernelNode node;
      node.op = source.op;
      node.dtype = source.type().dtype;
      node.loc = source.loc;
      node.name = source.name();
      for (size_t i = source.op == Op::gather; i < source.operands.size(); ++i) {
        node.operands.push_back(node_of_use(loops_.uses[m][i], region_.type(source.operands[i]).dtype));
        const KernelNode &operand = kernel_.nodes[node.operands.back()];
        node.depends |= operand.depends;
        node.stage = std::max(node.stage, operand.stage);
      }
      if (is_elementwise(source.op)) {
        node.attrs = source.attrs;
        node_of_member_.push_back(add_node(std::move(node)));
      } else if (source.op == Op::gather) {
        const Use &table = loops_.uses[m][0];
        node.access = read_access(table, node.dtype);
        node.depends |= varies(node.access);
        node.attrs.stride = {table.source.strides[source.attrs.axis]};
        node.attrs.shape = {region_.type(source.operands[0]).shape[source.attrs.axis]};
        node_of_member_.push_back(add_node(std::move(node)));
      } else if (source.op == Op::scatter_add) {
        node_of_member_.push_back(add_scatter(std::move(node), source, m));
      } else if (source.op == Op::argsort) {
        node_of_member_.push_back(add_argsort(std::move(node), m));
      } else {
        node_of_member_.push_back(add_reduction(std::move(node), source, m));
      }
    }
  }

  int add_scatter(KernelNode node, const Node &source, size_t m) {
    if (std::any_of(members_.begin(), members_.end(), [&](int member) { return region_.nodes[member].op == Op::dot; }))
      throw Refused{"scatter_add beside a dot"}; // which wants vectors and grains of its own
    node.partial = true;
    for (size_t i = 0; i < loops_.uses[m][1].dims.size(); ++i)
      if (int dim = loops_.uses[m][1].dims[i]; dim != no_axis) {
        if (kernel_.axes[dim].inner)
          throw Refused{"scatter_add along an inner axis"};
        node.attrs.axes.push_back(dim);
        node.depends &= ~(uint64_t{1} << dim);
      }
    std::sort(node.attrs.axes.begin(), node.attrs.axes.end());
    node.attrs.shape = {source.attrs.shape[source.attrs.axis]};
    node.attrs.stride = {contiguous_strides(source.attrs.shape)[source.attrs.axis]};
    return add_node(std::move(node));
  }

  int add_argsort(KernelNode node, size_t m) {
    if (roots_.size() != 1 || roots_[0] != Value{members_[m], 0})
      throw Refused{"an argsort beside other results"};
    if (loops_.reduced[m].empty())
      return add_zero();
    if (node.stage > 0)
      throw Refused{"an argsort of what is reduced"};
    node.depends |= inner_mask();
    return add_node(std::move(node));
  }

  int add_zero() {
    KernelNode zero;
    zero.op = Op::constant;
    zero.dtype = DType::i32;
    return add_node(std::move(zero));
  }

  int add_reduction(KernelNode node, const Node &source, size_t m) {
    const std::vector<int> &axes = loops_.reduced[m];
    if (source.op == Op::dot) {
      for (int operand : node.operands)
        if (kernel_.nodes[operand].op != Op::arg)
          throw Refused{"an operand of the dot is computed in the kernel"};
      if (axes.empty()) {
        node.op = Op::mul;
        for (int &operand : node.operands)
          operand = widened(operand);
        return add_node(std::move(node));
      }
      if (kernel_.dot >= 0)
        throw Refused{"a second dot"};
      note_dot_axes(source, m);
      node.depends &= ~inner_mask();
      node.stage = 1;
      return kernel_.dot = add_node(std::move(node));
    }
    if (axes.empty())
      return source.op == Op::argmax ? add_zero() : node.operands[0];
    const std::vector<int> rows(axes.begin(), std::ranges::lower_bound(axes, kernel_.rows));
    const bool inner = rows.size() < axes.size();
    if (inner && axes.size() - rows.size() != kernel_.axes.size() - kernel_.rows)
      throw Refused{"a reduction over some of the inner axes"};
    if (!inner)
      for (int dim : loops_.uses[m][0].dims)
        if (dim >= kernel_.rows && kernel_.dot >= 0)
          throw Refused{"a reduction over rows of values below the dot"};
    if (!rows.empty() && (loops_.used_inside[m] || source.op == Op::argmax))
      throw Refused{"a reduction over rows is used inside"};
    int result = node.operands[0];
    if (inner) {
      node.depends &= ~inner_mask();
      node.stage = kernel_.nodes[result].stage + 1;
      result = add_node(node);
    }
    if (!rows.empty()) {
      node.operands = {result};
      node.partial = true;
      node.stage = kernel_.nodes[result].stage;
      node.attrs.axes.assign(rows.begin(), rows.end());
      for (int axis : rows)
        node.depends &= ~(uint64_t{1} << axis);
      result = add_node(std::move(node));
    }
    return result;
  }

  // What arithmetic takes for an operand.
  int widened(int operand) {
    const KernelNode &source = kernel_.nodes[operand];
    if (!is_storage_only(source.dtype))
      return operand;
    KernelNode node;
    node.op = Op::cast;
    node.operands = {operand};
    node.dtype = node.attrs.dtype = wide_dtype(source.dtype);
    node.depends = source.depends;
    node.loc = source.loc;
    return add_node(std::move(node));
  }

  void note_dot_axes(const Node &source, size_t m) {
    DotLabels labels = parse_dot_labels(source.attrs.labels);
    auto axes = [&](const std::string &which, const std::string &in, const std::vector<int> &dims) {
      std::vector<int> result;
      for (char label : which)
        if (int dim = dims[in.find(label)]; dim != no_axis)
          result.push_back(dim);
      std::sort(result.begin(), result.end());
      return result;
    };
    kernel_.dot_axes.batch = axes(labels.batch, labels.lhs, loops_.uses[m][0].dims);
    kernel_.dot_axes.m = axes(labels.rows, labels.lhs, loops_.uses[m][0].dims);
    kernel_.dot_axes.n = axes(labels.cols, labels.rhs, loops_.uses[m][1].dims);
    kernel_.dot_axes.k = axes(labels.summed, labels.lhs, loops_.uses[m][0].dims);
  }

  void add_roots() {
    for (size_t r = 0; r < roots_.size(); ++r) {
      const Type &type = region_.type(roots_[r]);
      int node = node_of_use(loops_.root_uses[r], type.dtype);
      int pointer = static_cast<int>(kernel_.pointers.size());
      kernel_.pointers.push_back({type.dtype, false, true, roots_[r], type.elements()});
      kernel_.roots.push_back({node, make_access(pointer, root_offset_, root_strides_.value_or(contiguous_strides(type.shape)),
                                                 loops_.root_uses[r].dims)});
    }
  }

  void check_kernel() {
    if (kernel_.pointers.size() > most_pointers)
      throw Refused{fmt::format("more than {} pointers", most_pointers)};
    for (const KernelNode &node : kernel_.nodes)
      if (node.stage > most_stages)
        throw Refused{fmt::format("more than {} stages", most_stages)};
    uint64_t row_mask = (uint64_t{1} << kernel_.rows) - 1;
    for (const KernelRoot &root : kernel_.roots) {
      const KernelNode &node = kernel_.nodes[root.node];
      uint64_t written = varies(root.access), visited = written;
      for (int64_t axis : node.attrs.axes)
        visited |= uint64_t{1} << axis;
      if ((visited & row_mask) != row_mask)
        throw Refused{"a result would be written again for every row"};
      if (node.partial && (written & inner_mask()) != 0 && (written & inner_mask()) != inner_mask())
        throw Refused{"a sum over rows would be taken again for every inner point"};
      if (kernel_.dot >= 0 && (written & inner_mask()))
        throw Refused{"a result repeats along what the dot sums"};
    }
    // What does not vary along every row is computed again for the others: cheap things only, unless it stands alone.
    if (members_.size() == 1)
      return;
    int again = 0;
    for (size_t m = 0; m < members_.size(); ++m) {
      const KernelNode &node = kernel_.nodes[node_of_member_[m]];
      if (is_pointwise(node.op) && (node.depends & row_mask) != row_mask)
        again += op_info(node.op).weight;
      if (is_pointwise(node.op) && kernel_.dot >= 0 && (node.depends & inner_mask()))
        throw Refused{"elementwise work below the dot"};
      if ((is_reduce(node.op) || node.op == Op::dot) && !node.partial && (node.depends & row_mask) != row_mask)
        throw Refused{"a reduction would be computed again for every row"};
    }
    if (again > 4)
      throw Refused{"a value would be computed again for every row"};
  }
};

// Sums along the vectors of a dot would leave the registers for every row; what long sums lose must stay in the cache.
void check_recipe(const Kernel &kernel) {
  if (compensation_bytes(kernel, kernel.roots.size()) > most_compensation_bytes)
    throw Refused{"long sums over rows of too many results"};
  for (const KernelNode &node : kernel.nodes)
    if (kernel.dot >= 0 && node.partial &&
        std::find(node.attrs.axes.begin(), node.attrs.axes.end(), kernel.vector_axis) != node.attrs.axes.end())
      throw Refused{"a reduction along the columns of a dot"};
}

} // namespace

Formed form_body(const Region &body) {
  std::vector<int> members;
  for (size_t i = body.args; i < body.nodes.size(); ++i)
    if (const Node &node = body.nodes[i]; node.op != Op::constant && !is_view(node.op))
      members.push_back(static_cast<int>(i));
  return form_kernel(body, members, body.results);
}

Kernel kernel_of(const Node &fused) {
  Formed formed = form_body(*fused.body);
  if (!formed.kernel)
    throw Error(fmt::format("{} is no kernel: {}", title(fused), formed.refusal));
  return std::move(*formed.kernel);
}

Kernel copy_kernel(const Region &region, Value value, int64_t offset, const Shape &strides) {
  try {
    Kernel kernel = Former(region, {}, {&value, 1}, offset, strides).form();
    shape_kernel(kernel);
    return kernel;
  } catch (const Refused &refused) {
    throw Error(fmt::format("a copy of {} is no kernel: {}", title(region.node(value)), refused.reason));
  }
}

Formed form_kernel(const Region &region, std::span<const int> members, std::span<const Value> roots) {
  Formed formed;
  try {
    formed.kernel = Former(region, members, roots).form();
    shape_kernel(*formed.kernel);
    check_recipe(*formed.kernel);
  } catch (const Refused &refused) {
    formed.kernel.reset();
    formed.refusal = refused.reason;
  }
  return formed;
}

} // namespace nnc

// From nodes to a kernel table. Axes of all values are united where they must run together (union-find over the axes of every
// member's result and of every use); what a reduction that is used inside sums away are the inner axes, all others are rows.
// Then every member becomes a kernel node and every value read from memory a load with its strides.
//
// A gather is a member like an elementwise op, but its table stays in memory and the gathered axis is no axis of the kernel. A
// scatter_add is a sum over rows whose place in the result is read from data. An argsort orders the points of the inner axis.
//
// Refused is what cannot run at one point at a time: shifted or regrouped values, two different inner reductions, elementwise
// work below a dot, values that would be computed again for every row at a price. shape_kernel does the rest.
#include "passes/form.h"

#include "passes/access.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <numeric>
#include <set>

namespace nnc {

namespace {

struct Refused {
  std::string reason;
};

class UnionFind {
public:
  int add() {
    parent_.push_back(static_cast<int>(parent_.size()));
    return parent_.back();
  }
  int find(int i) {
    while (parent_[i] != i)
      i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void unite(int a, int b) { parent_[std::max(find(a), find(b))] = std::min(find(a), find(b)); }

private:
  std::vector<int> parent_;
};

constexpr int no_axis = -1; // of an axis of size 1

// A value as a member or root reads it: where it comes from, and the axis class of each of its axes.
struct Use {
  ElementSource source;
  std::vector<int> dims;
};

class Former {
public:
  // A root lies row-major in its own memory, unless `strides` (of the only root) say otherwise.
  Former(const Region &region, std::span<const int> members, std::span<const Value> roots, int64_t offset = 0,
         std::optional<Shape> strides = std::nullopt)
      : region_(region), members_(members), roots_(roots), root_offset_(offset), root_strides_(std::move(strides)) {}

  Kernel form() {
    if (members_.size() > most_nodes)
      throw Refused{fmt::format("more than {} nodes", most_nodes)};
    collect_uses();
    unite_axes();
    if (UnionFind before = classes_; unite_readers(), !axes_distinct()) {
      classes_ = std::move(before);
      if (!axes_distinct())
        throw Refused{"two axes of one value would run together"};
    }
    choose_inner();
    order_axes();
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
  UnionFind classes_;
  std::vector<int64_t> class_size_;
  std::vector<std::vector<int>> result_dims_; // of each member
  std::vector<std::vector<Use>> uses_;        // of each member, an operand each
  std::vector<Use> root_uses_;
  std::vector<bool> used_inside_;
  std::set<int> inner_;
  std::map<int, int> axis_of_class_;
  Kernel kernel_;
  std::vector<int> node_of_member_;
  std::map<Value, int> pointer_of_value_;

  int member_index(int node) const {
    auto at = std::lower_bound(members_.begin(), members_.end(), node);
    return at != members_.end() && *at == node ? static_cast<int>(at - members_.begin()) : -1;
  }

  std::vector<int> new_dims(const Shape &shape) {
    std::vector<int> dims;
    for (int64_t size : shape) {
      dims.push_back(size == 1 ? no_axis : classes_.add());
      if (size != 1)
        class_size_.push_back(size);
    }
    return dims;
  }

  void unite(int a, int b) {
    if (a != no_axis && b != no_axis)
      classes_.unite(a, b);
  }

  Use make_use(Value value) {
    Use use;
    use.source = resolve(region_, value, [&](int node) { return member_index(node) >= 0; });
    if (use.source.kind == ElementSource::Kind::blocked)
      throw Refused{use.source.reason};
    use.dims = new_dims(region_.type(value).shape);
    if (use.source.kind == ElementSource::Kind::member) {
      int producer = member_index(use.source.value.node);
      for (size_t i = 0; i < use.dims.size(); ++i)
        if (use.source.dims[i] >= 0)
          unite(use.dims[i], result_dims_[producer][use.source.dims[i]]);
    }
    return use;
  }

  void collect_uses() {
    used_inside_.assign(members_.size(), false);
    for (int member : members_) {
      const Node &node = region_.nodes[member];
      result_dims_.push_back(new_dims(node.type().shape));
      if (node.op == Op::scatter_add)
        result_dims_.back()[node.attrs.axis] = no_axis;
      std::vector<Use> uses;
      for (Value operand : node.operands) {
        uses.push_back(make_use(operand));
        if (uses.back().source.kind != ElementSource::Kind::member)
          continue;
        const int producer = uses.back().source.value.node;
        if (region_.nodes[producer].op == Op::scatter_add || region_.nodes[producer].op == Op::argsort)
          throw Refused{fmt::format("{} is used inside", op_info(region_.nodes[producer].op).name)};
        used_inside_[member_index(producer)] = true;
      }
      if (node.op == Op::gather) {
        if (uses[0].source.kind != ElementSource::Kind::buffer)
          throw Refused{"a table that is not in memory"};
        uses[0].dims[node.attrs.axis] = no_axis;
      }
      uses_.push_back(std::move(uses));
    }
    for (Value root : roots_) {
      root_uses_.push_back(make_use(root));
      Use &use = root_uses_.back();
      if (use.source.kind != ElementSource::Kind::member || region_.node(use.source.value).op != Op::scatter_add)
        continue;
      if (root != use.source.value)
        throw Refused{"a view of scatter_add leaves"};
      use.dims = result_dims_[member_index(root.node)];
    }
  }

  void unite_axes() {
    for (size_t m = 0; m < members_.size(); ++m) {
      const Node &node = region_.nodes[members_[m]];
      if (is_elementwise(node.op) || node.op == Op::argsort) {
        for (const Use &use : uses_[m])
          for (size_t i = 0; i < use.dims.size(); ++i)
            unite(use.dims[i], result_dims_[m][i]);
      } else if (node.op == Op::gather) {
        unite_indexed(node, uses_[m][0].dims, uses_[m][1].dims, result_dims_[m]);
      } else if (node.op == Op::scatter_add) {
        unite_indexed(node, result_dims_[m], uses_[m][1].dims, uses_[m][0].dims);
      } else if (is_reduce(node.op)) {
        size_t kept = 0;
        for (size_t i = 0; i < uses_[m][0].dims.size(); ++i)
          if (!reduces(node, i))
            unite(uses_[m][0].dims[i], result_dims_[m][kept++]);
      } else {
        DotLabels labels = parse_dot_labels(node.attrs.labels);
        auto unite_labels = [&](const std::string &a, const std::vector<int> &dims_a, const std::string &b,
                                const std::vector<int> &dims_b) {
          for (size_t i = 0; i < a.size(); ++i)
            if (size_t j = b.find(a[i]); j != std::string::npos)
              unite(dims_a[i], dims_b[j]);
        };
        unite_labels(labels.lhs, uses_[m][0].dims, labels.rhs, uses_[m][1].dims);
        unite_labels(labels.lhs, uses_[m][0].dims, labels.result, result_dims_[m]);
        unite_labels(labels.rhs, uses_[m][1].dims, labels.result, result_dims_[m]);
      }
    }
  }

  // The axes of `index` stand in `entries` where `whole` has the axis that the index counts.
  void unite_indexed(const Node &node, const std::vector<int> &whole, const std::vector<int> &index,
                     const std::vector<int> &entries) {
    const size_t axis = node.attrs.axis, count = index.size();
    for (size_t i = 0; i < count; ++i)
      unite(index[i], entries[axis + i]);
    for (size_t i = 0; i < whole.size(); ++i)
      if (i != axis)
        unite(whole[i], entries[i < axis ? i : i + count - 1]);
  }

  static bool reduces(const Node &node, size_t axis) {
    return std::find(node.attrs.axes.begin(), node.attrs.axes.end(), static_cast<int64_t>(axis)) != node.attrs.axes.end();
  }

  // Two readers of the same elements read them at the same point. (A dot has its own reasons to read one value twice, and a
  // table is read anywhere.)
  void unite_readers() {
    std::map<std::tuple<Value, int64_t, Shape, Shape>, const std::vector<int> *> readers;
    auto note = [&](const Use &use) {
      if (use.source.kind != ElementSource::Kind::buffer)
        return;
      Shape sizes;
      for (int dim : use.dims)
        sizes.push_back(dim == no_axis ? 1 : class_size_[dim]);
      auto [at, added] = readers.try_emplace({use.source.value, use.source.offset, use.source.strides, sizes}, &use.dims);
      for (size_t i = 0; i < use.dims.size() && !added; ++i)
        unite((*at->second)[i], use.dims[i]);
    };
    for (size_t m = 0; m < members_.size(); ++m)
      if (const Op op = region_.nodes[members_[m]].op; op != Op::dot)
        for (size_t i = op == Op::gather; i < uses_[m].size(); ++i)
          note(uses_[m][i]);
    for (const Use &use : root_uses_)
      note(use);
  }

  bool axes_distinct() {
    auto distinct = [&](const std::vector<int> &dims) {
      std::set<int> seen;
      return std::all_of(dims.begin(), dims.end(),
                         [&](int dim) { return dim == no_axis || seen.insert(classes_.find(dim)).second; });
    };
    for (size_t m = 0; m < members_.size(); ++m)
      if (!distinct(result_dims_[m]) ||
          !std::all_of(uses_[m].begin(), uses_[m].end(), [&](const Use &use) { return distinct(use.dims); }))
        return false;
    return std::all_of(root_uses_.begin(), root_uses_.end(), [&](const Use &use) { return distinct(use.dims); });
  }

  // Axis classes that a reduction or dot sums away, or an argsort orders.
  std::set<int> reduced(size_t m) {
    const Node &node = region_.nodes[members_[m]];
    std::set<int> result;
    if (is_reduce(node.op)) {
      for (size_t i = 0; i < uses_[m][0].dims.size(); ++i)
        if (reduces(node, i) && uses_[m][0].dims[i] != no_axis)
          result.insert(classes_.find(uses_[m][0].dims[i]));
    } else if (node.op == Op::dot) {
      DotLabels labels = parse_dot_labels(node.attrs.labels);
      for (char label : labels.summed)
        if (int dim = uses_[m][0].dims[labels.lhs.find(label)]; dim != no_axis)
          result.insert(classes_.find(dim));
    } else if (node.op == Op::argsort) {
      if (int dim = result_dims_[m][node.attrs.axis]; dim != no_axis)
        result.insert(classes_.find(dim));
    }
    return result;
  }

  void choose_inner() {
    bool chosen = false;
    auto choose = [&](bool must) {
      for (size_t m = 0; m < members_.size(); ++m) {
        std::set<int> axes = reduced(m);
        if (axes.empty() || must != (used_inside_[m] || !is_reduce(region_.nodes[members_[m]].op)))
          continue;
        if (chosen && must && axes != inner_)
          throw Refused{"two reductions over different axes are used inside"};
        if (!chosen)
          inner_ = axes;
        chosen = true;
      }
    };
    choose(true);
    choose(false);
  }

  // Rows in the order of the largest root, what no root keeps before them; then the inner axes in the order of a reduced value.
  void order_axes() {
    std::vector<int> order;
    auto append = [&](const std::vector<int> &dims, bool inner) {
      for (int dim : dims)
        if (dim != no_axis && inner_.contains(classes_.find(dim)) == inner &&
            std::find(order.begin(), order.end(), classes_.find(dim)) == order.end())
          order.push_back(classes_.find(dim));
    };
    const std::vector<int> *largest = nullptr;
    for (const Use &use : root_uses_)
      if (!largest || use.dims.size() > largest->size())
        largest = &use.dims;
    if (largest)
      append(*largest, false);
    size_t kept = order.size();
    for (size_t m = 0; m < members_.size(); ++m) {
      for (const Use &use : uses_[m])
        append(use.dims, false);
      append(result_dims_[m], false);
    }
    for (const Use &use : root_uses_)
      append(use.dims, false);
    std::rotate(order.begin(), order.begin() + kept, order.end());
    kernel_.rows = static_cast<int>(order.size());
    for (size_t m = 0; m < members_.size(); ++m)
      for (const Use &use : uses_[m])
        append(use.dims, true);
    if (order.size() > 60)
      throw Refused{"more than 60 axes"};
    for (size_t a = 0; a < order.size(); ++a) {
      kernel_.axes.push_back({class_size_[order[a]], static_cast<int>(a) >= kernel_.rows});
      axis_of_class_[order[a]] = static_cast<int>(a);
    }
  }

  int axis(int dim) { return axis_of_class_.at(classes_.find(dim)); }

  Access make_access(int pointer, int64_t offset, const Shape &strides, const std::vector<int> &dims) {
    Access access{pointer, offset, Shape(kernel_.axes.size(), 0)};
    for (size_t i = 0; i < dims.size(); ++i)
      if (dims[i] != no_axis)
        access.strides[axis(dims[i])] = strides[i];
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
      return node_of_member_[member_index(source.value.node)];
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
        node.operands.push_back(node_of_use(uses_[m][i], region_.type(source.operands[i]).dtype));
        const KernelNode &operand = kernel_.nodes[node.operands.back()];
        node.depends |= operand.depends;
        node.stage = std::max(node.stage, operand.stage);
      }
      if (is_elementwise(source.op)) {
        node.attrs = source.attrs;
        node_of_member_.push_back(add_node(std::move(node)));
      } else if (source.op == Op::gather) {
        const Use &table = uses_[m][0];
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
    for (size_t i = 0; i < uses_[m][1].dims.size(); ++i)
      if (int dim = uses_[m][1].dims[i]; dim != no_axis) {
        if (inner_.contains(classes_.find(dim)))
          throw Refused{"scatter_add along an inner axis"};
        node.attrs.axes.push_back(axis(dim));
        node.depends &= ~(uint64_t{1} << axis(dim));
      }
    std::sort(node.attrs.axes.begin(), node.attrs.axes.end());
    node.attrs.shape = {source.attrs.shape[source.attrs.axis]};
    node.attrs.stride = {contiguous_strides(source.attrs.shape)[source.attrs.axis]};
    return add_node(std::move(node));
  }

  int add_argsort(KernelNode node, size_t m) {
    if (roots_.size() != 1 || roots_[0] != Value{members_[m], 0})
      throw Refused{"an argsort beside other results"};
    if (reduced(m).empty())
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
    std::set<int> axes = reduced(m);
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
    std::set<int> rows;
    for (int axis_class : axes)
      if (!inner_.contains(axis_class))
        rows.insert(axis_class);
    bool inner = rows.size() < axes.size();
    if (inner && axes.size() - rows.size() != inner_.size())
      throw Refused{"a reduction over some of the inner axes"};
    if (!inner)
      for (int dim : uses_[m][0].dims)
        if (dim != no_axis && inner_.contains(classes_.find(dim)) && kernel_.dot >= 0)
          throw Refused{"a reduction over rows of values below the dot"};
    if (!rows.empty() && (used_inside_[m] || source.op == Op::argmax))
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
      for (int axis_class : rows) {
        node.attrs.axes.push_back(axis_of_class_.at(axis_class));
        node.depends &= ~(uint64_t{1} << axis_of_class_.at(axis_class));
      }
      std::sort(node.attrs.axes.begin(), node.attrs.axes.end());
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
          result.push_back(axis(dim));
      std::sort(result.begin(), result.end());
      return result;
    };
    kernel_.dot_axes.batch = axes(labels.batch, labels.lhs, uses_[m][0].dims);
    kernel_.dot_axes.m = axes(labels.rows, labels.lhs, uses_[m][0].dims);
    kernel_.dot_axes.n = axes(labels.cols, labels.rhs, uses_[m][1].dims);
    kernel_.dot_axes.k = axes(labels.summed, labels.lhs, uses_[m][0].dims);
  }

  void add_roots() {
    for (size_t r = 0; r < roots_.size(); ++r) {
      const Type &type = region_.type(roots_[r]);
      int node = node_of_use(root_uses_[r], type.dtype);
      int pointer = static_cast<int>(kernel_.pointers.size());
      kernel_.pointers.push_back({type.dtype, false, true, roots_[r], type.elements()});
      kernel_.roots.push_back(
          {node, make_access(pointer, root_offset_, root_strides_.value_or(contiguous_strides(type.shape)), root_uses_[r].dims)});
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

// Sums along the vectors of a dot would leave the registers for every row.
void check_recipe(const Kernel &kernel) {
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

Kernel copy_kernel(const Region &region, Value value, int64_t offset, const Shape &strides) {
  Kernel kernel = Former(region, {}, {&value, 1}, offset, strides).form();
  shape_kernel(kernel);
  return kernel;
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

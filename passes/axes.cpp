// Axes of all values are united where they must run together (union-find over the axes of every member's result and of every
// use); what a reduction that is used inside sums away are the inner axes, all others are rows.
//
// A gather is a member like an elementwise op, but its table stays in memory and the gathered axis is no axis of the kernel. A
// scatter_add is a sum over rows whose place in the result is read from data. An argsort orders the points of the inner axis.
#include "passes/axes.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

namespace nnc {

namespace {

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

class AxisFinder {
public:
  AxisFinder(const Region &region, std::span<const int> members, std::span<const Value> roots)
      : region_(region), members_(members), roots_(roots) {}

  KernelAxes find() {
    collect_uses();
    unite_axes();
    if (UnionFind before = classes_; unite_readers(), !axes_distinct()) {
      classes_ = std::move(before);
      if (!axes_distinct())
        throw Refused{"two axes of one value would run together"};
    }
    choose_inner();
    order_axes();
    return std::move(found_);
  }

private:
  const Region &region_;
  std::span<const int> members_;
  std::span<const Value> roots_;
  UnionFind classes_; // of axes
  std::vector<int64_t> class_size_;
  std::vector<std::vector<int>> result_dims_; // of each member
  std::set<int> inner_;                       // classes
  KernelAxes found_;                          // dims are classes until order_axes numbers them

  int member_index(int node) const { return nnc::member_index(members_, node); }

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
    found_.used_inside.assign(members_.size(), false);
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
        found_.used_inside[member_index(producer)] = true;
      }
      if (node.op == Op::gather) {
        if (uses[0].source.kind != ElementSource::Kind::buffer)
          throw Refused{"a table that is not in memory"};
        uses[0].dims[node.attrs.axis] = no_axis;
      }
      found_.uses.push_back(std::move(uses));
    }
    for (Value root : roots_) {
      found_.root_uses.push_back(make_use(root));
      Use &use = found_.root_uses.back();
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
        for (const Use &use : found_.uses[m])
          for (size_t i = 0; i < use.dims.size(); ++i)
            unite(use.dims[i], result_dims_[m][i]);
      } else if (node.op == Op::gather) {
        unite_indexed(node, found_.uses[m][0].dims, found_.uses[m][1].dims, result_dims_[m]);
      } else if (node.op == Op::scatter_add) {
        unite_indexed(node, result_dims_[m], found_.uses[m][1].dims, found_.uses[m][0].dims);
      } else if (is_reduce(node.op)) {
        size_t kept = 0;
        for (size_t i = 0; i < found_.uses[m][0].dims.size(); ++i)
          if (!reduces(node, i))
            unite(found_.uses[m][0].dims[i], result_dims_[m][kept++]);
      } else {
        DotLabels labels = parse_dot_labels(node.attrs.labels);
        auto unite_labels = [&](const std::string &a, const std::vector<int> &dims_a, const std::string &b,
                                const std::vector<int> &dims_b) {
          for (size_t i = 0; i < a.size(); ++i)
            if (size_t j = b.find(a[i]); j != std::string::npos)
              unite(dims_a[i], dims_b[j]);
        };
        unite_labels(labels.lhs, found_.uses[m][0].dims, labels.rhs, found_.uses[m][1].dims);
        unite_labels(labels.lhs, found_.uses[m][0].dims, labels.result, result_dims_[m]);
        unite_labels(labels.rhs, found_.uses[m][1].dims, labels.result, result_dims_[m]);
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
        for (size_t i = op == Op::gather; i < found_.uses[m].size(); ++i)
          note(found_.uses[m][i]);
    for (const Use &use : found_.root_uses)
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
          !std::all_of(found_.uses[m].begin(), found_.uses[m].end(), [&](const Use &use) { return distinct(use.dims); }))
        return false;
    return std::all_of(found_.root_uses.begin(), found_.root_uses.end(), [&](const Use &use) { return distinct(use.dims); });
  }

  // Axis classes that a reduction or dot sums away, or an argsort orders.
  std::set<int> reduced(size_t m) {
    const Node &node = region_.nodes[members_[m]];
    std::set<int> result;
    if (is_reduce(node.op)) {
      for (size_t i = 0; i < found_.uses[m][0].dims.size(); ++i)
        if (reduces(node, i) && found_.uses[m][0].dims[i] != no_axis)
          result.insert(classes_.find(found_.uses[m][0].dims[i]));
    } else if (node.op == Op::dot) {
      DotLabels labels = parse_dot_labels(node.attrs.labels);
      for (char label : labels.summed)
        if (int dim = found_.uses[m][0].dims[labels.lhs.find(label)]; dim != no_axis)
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
        if (axes.empty() || must != (found_.used_inside[m] || !is_reduce(region_.nodes[members_[m]].op)))
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
    for (const Use &use : found_.root_uses)
      if (!largest || use.dims.size() > largest->size())
        largest = &use.dims;
    if (largest)
      append(*largest, false);
    size_t kept = order.size();
    for (size_t m = 0; m < members_.size(); ++m) {
      for (const Use &use : found_.uses[m])
        append(use.dims, false);
      append(result_dims_[m], false);
    }
    for (const Use &use : found_.root_uses)
      append(use.dims, false);
    std::rotate(order.begin(), order.begin() + kept, order.end());
    found_.rows = static_cast<int>(order.size());
    for (size_t m = 0; m < members_.size(); ++m)
      for (const Use &use : found_.uses[m])
        append(use.dims, true);
    if (order.size() > 60)
      throw Refused{"more than 60 axes"};
    std::map<int, int> axis_of_class;
    for (size_t a = 0; a < order.size(); ++a) {
      found_.axes.push_back({class_size_[order[a]], static_cast<int>(a) >= found_.rows});
      axis_of_class[order[a]] = static_cast<int>(a);
    }
    for (size_t m = 0; m < members_.size(); ++m) {
      std::set<int> axes;
      for (int axis_class : reduced(m))
        axes.insert(axis_of_class.at(axis_class));
      found_.reduced.emplace_back(axes.begin(), axes.end());
    }
    auto number = [&](std::vector<Use> &uses) {
      for (Use &use : uses)
        for (int &dim : use.dims)
          if (dim != no_axis)
            dim = axis_of_class.at(classes_.find(dim));
    };
    number(found_.root_uses);
    std::ranges::for_each(found_.uses, number);
  }
};

} // namespace

int member_index(std::span<const int> members, int node) {
  auto at = std::lower_bound(members.begin(), members.end(), node);
  return at != members.end() && *at == node ? static_cast<int>(at - members.begin()) : -1;
}

KernelAxes find_axes(const Region &region, std::span<const int> members, std::span<const Value> roots) {
  return AxisFinder(region, members, roots).find();
}

} // namespace nnc

// fuse: groups nodes into kernels, and makes one `fused` node of each group.
//
//   %a = add(%z, %b1)                          %h = fused(%x, %w1, %b1) {
//   %h = maximum(%a, 0)              =>          %z = dot(%x, %w1, "bi,io->bo") … yield %h
//                                              }
//
// Every computing node starts alone; views, splat constants and iotas belong to whoever reads them. Groups that are joined by
// a value merge, largest value first, then groups that read the same value, wherever form_kernel accepts the union and no
// path through a third group would make a cycle. A loop stands alone; its body was fused before. Last, a value that is stored
// only for others is computed again by them where that is cheap. Reshapes of strided memory, operands of a dot and tables that
// are computed from nothing, and what a loop reads and is not whole in memory are stored first.
#include "passes/passes.h"

#include "passes/access.h"
#include "passes/body.h"
#include "passes/form.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <queue>
#include <set>

namespace nnc {

namespace {

constexpr int cheap_weight = 8;
constexpr size_t most_trials = 8; // of a reader, to merge with others of the same value

bool computes(Op op) {
  return is_pointwise(op) || is_reduce(op) || family(op) == Family::contract || op == Op::scatter_add || op == Op::argsort;
}
bool nothing_is_member(int) { return false; }

class Fuser {
public:
  Fuser(Function &function, PassContext &context) : old_(function), context_(context) {}

  bool run() {
    const bool copied = store_first();
    find_groups();
    if (groups_.empty())
      return copied;
    merge_along_values();
    merge_readers();
    compute_again();
    rebuild();
    for (const std::string &refusal : refusals_)
      context_.note_refusal(refusal);
    return true;
  }

private:
  Function &old_;
  PassContext &context_;
  std::set<std::string> refusals_;                          // of the last round of merging
  std::map<std::array<size_t, 4>, std::string> refusal_of_; // two groups, each with its size: why they are no kernel, or ""
  std::vector<int> group_of_;                               // home group of a node, -1: none
  std::vector<std::vector<int>> groups_;                    // members, ascending; empty once merged into another
  std::vector<std::vector<Value>> reads_;                   // of each node: the values below the views of its operands
  std::vector<std::vector<int>> users_;                     // of each node: nodes that read it
  std::vector<int> order_, position_; // units in an order in which they can be computed (-1: none), and where each stands
  std::vector<int> marks_;            // of units, by mark_behind: those with the value mark_
  int mark_ = 0;
  std::vector<bool> escapes_; // a result of the function, or read by something that is no kernel

  // A reshape that has no affine map, or a dot's operand or a table that is not in memory, is read from a copy.
  bool store_first() {
    bool copied = false;
    for (std::set<Value> wanted = read_from_copies(); !wanted.empty(); wanted = read_from_copies()) {
      insert_copies(wanted); // which may leave a reshape above them that needs one too
      copied = true;
    }
    return copied;
  }

  std::set<Value> read_from_copies() const {
    std::set<Value> wanted;
    for (const Node &node : old_.nodes) {
      const auto source = [&](size_t k) { return resolve(old_, node.operands[k], nothing_is_member); };
      const auto want = [&](size_t k) { // what has no map itself has one once there is a copy below it
        if (source(k).kind != ElementSource::Kind::blocked)
          wanted.insert(node.operands[k]);
      };
      if (node.op == Op::reshape)
        if (const ElementSource from = source(0);
            from.kind != ElementSource::Kind::constant && from.kind != ElementSource::Kind::blocked &&
            !reshape_strides(old_.type(node.operands[0]).shape, from.strides, node.type().shape))
          wanted.insert(node.operands[0]);
      for (int k = 0; node.op == Op::scan && k < static_cast<int>(node.operands.size()); ++k)
        if (const Value operand = node.operands[k]; k >= node.scan.carries + node.scan.slices
                                                        ? stored_base(old_, operand) != operand || is_free(old_.node(operand))
                                                        : k >= node.scan.carries && !entries_of(old_, operand))
          want(k);
      for (size_t k = 0; k < (node.op == Op::dot ? 2 : node.op == Op::gather ? 1 : 0); ++k)
        if (const auto kind = source(k).kind; kind == ElementSource::Kind::constant || kind == ElementSource::Kind::index)
          want(k);
    }
    return wanted;
  }

  void insert_copies(const std::set<Value> &wanted) {
    std::vector<Node> nodes;
    std::vector<int> moved(old_.nodes.size());
    std::map<Value, Value> copies;
    auto map = [&](Value v) {
      auto at = copies.find(v);
      return at != copies.end() ? at->second : Value{moved[v.node], v.index};
    };
    for (size_t i = 0; i < old_.nodes.size(); ++i) {
      Node node = old_.nodes[i];
      for (Value &operand : node.operands)
        operand = map(operand);
      moved[i] = static_cast<int>(nodes.size());
      nodes.push_back(std::move(node));
      Value value{static_cast<int>(i), 0};
      if (wanted.contains(value)) {
        Node copy = copy_node(old_, value);
        for (Value &operand : copy.operands)
          operand = map(operand);
        copies[value] = {static_cast<int>(nodes.size()), 0};
        nodes.push_back(std::move(copy));
      }
    }
    for (Result &result : old_.function_results)
      result.value = {moved[result.value.node], result.value.index};
    old_.nodes = std::move(nodes);
  }

  void find_groups() {
    size_t count = old_.nodes.size();
    group_of_.assign(count, -1);
    reads_.resize(count);
    users_.resize(count);
    escapes_.assign(count, false);
    for (size_t i = 0; i < count; ++i) {
      const Node &node = old_.nodes[i];
      if (is_view(node.op) && node.op != Op::pad && node.op != Op::concat)
        continue;
      for (Value operand : node.operands) {
        Value source = stored_base(old_, operand);
        if (is_free(old_.node(source)))
          continue;
        reads_[i].push_back(source);
        users_[source.node].push_back(static_cast<int>(i));
        if (!computes(node.op))
          escapes_[source.node] = true;
      }
      if (computes(node.op)) {
        group_of_[i] = static_cast<int>(groups_.size());
        groups_.push_back({static_cast<int>(i)});
      }
    }
    for (const Result &result : old_.function_results)
      escapes_[stored_base(old_, result.value).node] = true;
    marks_.resize(groups_.size() + count);
    position_.resize(groups_.size() + count);
    for (size_t i = 0; i < count; ++i) {
      order_.push_back(unit_of(static_cast<int>(i)));
      position_[order_.back()] = static_cast<int>(i);
    }
  }

  // Values that a group of these members must store: read by a node outside that does not compute them again itself.
  std::vector<Value> roots_of(const std::vector<int> &members) const {
    std::vector<Value> roots;
    for (int member : members) {
      bool outside = escapes_[member];
      for (int user : users_[member])
        outside = outside || (!std::binary_search(members.begin(), members.end(), user) && !computes_itself(user, member));
      if (outside)
        roots.push_back({member, 0});
    }
    return roots;
  }

  bool computes_itself(int user, int node) const {
    int group = group_of_[user];
    return group >= 0 && group_of_[node] != group && std::binary_search(groups_[group].begin(), groups_[group].end(), node);
  }

  std::vector<int> united(int a, int b) const {
    std::vector<int> members;
    std::set_union(groups_[a].begin(), groups_[a].end(), groups_[b].begin(), groups_[b].end(), std::back_inserter(members));
    return members;
  }

  // What a node is computed with: its group, or itself. Units are numbered groups first, then nodes.
  int unit_of(int node) const { return group_of_[node] >= 0 ? group_of_[node] : static_cast<int>(groups_.size()) + node; }

  // Marks what is computed from `from` and stands before the unit `end` in order_. Whether `end` itself is, by way of a third.
  bool mark_behind(int from, int end) {
    bool found = false;
    ++mark_;
    std::vector<int> stack = {from};
    while (!stack.empty()) {
      const int unit = stack.back();
      stack.pop_back();
      const auto follow = [&](int node) {
        for (int user : users_[node]) {
          const int next = unit_of(user);
          if (next == end)
            found |= unit != from;
          else if (next != unit && position_[next] < position_[end] && marks_[next] != mark_) {
            marks_[next] = mark_;
            stack.push_back(next);
          }
        }
      };
      if (unit >= static_cast<int>(groups_.size()))
        follow(unit - static_cast<int>(groups_.size()));
      else
        std::for_each(groups_[unit].begin(), groups_[unit].end(), follow);
    }
    return found;
  }

  // Units in an order in which they can be computed. `first` and `second` become one: behind what stands between them, but
  // before what is computed from `first`, which mark_behind(first, second) has marked.
  void join_in_order(int first, int second) {
    std::vector<int> before, behind;
    for (int at = position_[first] + 1; at < position_[second]; ++at)
      if (const int unit = order_[at]; unit >= 0)
        (marks_[unit] == mark_ ? behind : before).push_back(unit);
    int at = position_[first];
    const int end = position_[second];
    before.push_back(first);
    before.insert(before.end(), behind.begin(), behind.end());
    for (int unit : before) {
      position_[unit] = at;
      order_[at++] = unit;
    }
    std::fill(order_.begin() + at, order_.begin() + end + 1, -1);
  }

  bool try_merge(int a, int b, const Node &through) {
    if (a == b || a < 0 || b < 0)
      return false;
    if (groups_[a].size() + groups_[b].size() > most_nodes)
      return false;
    // Whether there is a kernel of both depends on nothing but their members, so this is asked once; whether another lies
    // between, for which the nodes between must be walked, changes with every merge.
    const std::array<size_t, 4> pair = {static_cast<size_t>(std::min(a, b)), groups_[std::min(a, b)].size(),
                                        static_cast<size_t>(std::max(a, b)), groups_[std::max(a, b)].size()};
    const auto [refusal, is_new] = refusal_of_.try_emplace(pair);
    std::vector<int> members = united(a, b);
    if (is_new)
      refusal->second = form_kernel(old_, members, roots_of(members)).refusal;
    if (!refusal->second.empty()) {
      refuse(through, refusal->second);
      return false;
    }
    const int first = position_[a] < position_[b] ? a : b, second = first == a ? b : a;
    if (mark_behind(first, second)) {
      refuse(through, "another kernel lies between");
      return false;
    }
    if (!context_.allow("fuse", through.label()))
      return false;
    join_in_order(first, second);
    for (int member : members)
      group_of_[member] = first;
    groups_[first] = std::move(members);
    groups_[second].clear();
    return true;
  }

  void refuse(const Node &through, const std::string &reason) {
    refusals_.insert(fmt::format("{}: %{}: {}", old_.name, through.label(), reason));
  }

  void merge_along_values() {
    struct Edge {
      int64_t bytes;
      int producer, consumer;
    };
    std::vector<Edge> edges;
    for (size_t i = 0; i < old_.nodes.size(); ++i)
      if (group_of_[i] >= 0)
        for (Value source : reads_[i])
          if (group_of_[source.node] >= 0)
            edges.push_back({old_.type(source).bytes(), source.node, static_cast<int>(i)});
    std::stable_sort(edges.begin(), edges.end(), [](const Edge &a, const Edge &b) { return a.bytes > b.bytes; });
    // A merge may open the way for an edge that was refused (its third group is inside now): until nothing changes.
    for (bool changed = true; changed;) {
      changed = false;
      refusals_.clear();
      for (const Edge &edge : edges)
        changed |= try_merge(group_of_[edge.producer], group_of_[edge.consumer], old_.nodes[edge.producer]);
    }
  }

  // Groups that read the same value can read it once. Each tries those that came last before it: what all groups read, as all
  // initialisers read the seed, would else make as many trials as there are pairs.
  void merge_readers() {
    for (size_t i = 0; i < old_.nodes.size(); ++i) {
      std::vector<int> earlier; // the first reader in each group
      for (int user : users_[i]) {
        if (group_of_[user] < 0)
          continue;
        for (size_t at = earlier.size() - std::min(earlier.size(), most_trials); at < earlier.size(); ++at)
          if (!has_dot(group_of_[earlier[at]]) || !has_dot(group_of_[user]))
            if (try_merge(group_of_[earlier[at]], group_of_[user], old_.nodes[i]))
              break;
        if (std::ranges::none_of(earlier, [&](int other) { return group_of_[other] == group_of_[user]; }))
          earlier.push_back(user);
      }
    }
  }

  bool has_dot(int group) const {
    return std::any_of(groups_[group].begin(), groups_[group].end(), [&](int m) { return old_.nodes[m].op == Op::dot; });
  }

  // A cheap elementwise value of another group, from things this group reads anyway (and one more), need not be stored.
  void compute_again() {
    for (size_t g = 0; g < groups_.size(); ++g) {
      if (groups_[g].empty())
        continue;
      for (bool changed = true; changed;) {
        changed = false;
        std::set<Value> known;
        for (int member : groups_[g]) {
          known.insert({member, 0});
          for (Value source : reads_[member])
            known.insert(source);
        }
        for (Value value : known) {
          const Node &node = old_.node(value);
          if (group_of_[value.node] < 0 || group_of_[value.node] == static_cast<int>(g) ||
              std::binary_search(groups_[g].begin(), groups_[g].end(), value.node) || !is_elementwise(node.op) ||
              op_info(node.op).weight > cheap_weight || only_this_needs(value.node, static_cast<int>(g)) == false)
            continue;
          int unknown = 0;
          for (Value source : reads_[value.node])
            unknown += !known.contains(source);
          std::vector<int> members = groups_[g];
          members.insert(std::upper_bound(members.begin(), members.end(), value.node), value.node);
          if (unknown > 0 || members.size() > most_nodes || !form_kernel(old_, members, roots_of(members)).kernel)
            continue;
          groups_[g] = std::move(members);
          changed = true;
          break;
        }
      }
    }
  }

  // Computing it here as well saves a store only if nobody else reads it from memory.
  bool only_this_needs(int node, int group) const {
    if (escapes_[node])
      return false;
    for (int user : users_[node])
      if (group_of_[user] != group && group_of_[user] != group_of_[node] && !computes_itself(user, node))
        return false;
    return true;
  }

  void rebuild() {
    // Units in order: a group stands for its members; everything else but views and free nodes stands alone.
    Function result = old_;
    result.nodes.clear();
    std::map<Value, Value> values;
    std::vector<bool> done(groups_.size(), false);
    for (int i = 0; i < old_.args; ++i) {
      result.nodes.push_back(old_.nodes[i]);
      values[{i, 0}] = {i, 0};
    }
    for (size_t i = old_.args; i < old_.nodes.size(); ++i)
      emit(static_cast<int>(i), result, values, done, false);
    for (Result &r : result.function_results)
      r.value = emit_value(r.value, result, values, done);
    old_.nodes = std::move(result.nodes);
    old_.function_results = std::move(result.function_results);
  }

  Value emit_value(Value value, Function &to, std::map<Value, Value> &values, std::vector<bool> &done) {
    if (!values.contains(value))
      emit(value.node, to, values, done, true);
    return values.at(value);
  }

  void emit(int index, Function &to, std::map<Value, Value> &values, std::vector<bool> &done, bool wanted) {
    const Node &node = old_.nodes[index];
    if (int g = group_of_[index]; g >= 0) {
      if (done[g])
        return;
      done[g] = true;
      std::vector<Value> roots = roots_of(groups_[g]);
      if (roots.empty())
        return;
      Node fused = fused_node(old_, groups_[g], roots);
      for (Value &operand : fused.operands)
        operand = emit_value(operand, to, values, done);
      for (size_t r = 0; r < roots.size(); ++r)
        values[roots[r]] = {static_cast<int>(to.nodes.size()), static_cast<int>(r)};
      to.nodes.push_back(std::move(fused));
      return;
    }
    bool lazy = (is_view(node.op) && node.op != Op::pad && node.op != Op::concat) || node.op == Op::constant;
    if (values.contains({index, 0}) || (lazy && !wanted))
      return;
    Node copy = node;
    for (Value &operand : copy.operands)
      operand = emit_value(operand, to, values, done);
    for (size_t r = 0; r < copy.types.size(); ++r)
      values[{index, static_cast<int>(r)}] = {static_cast<int>(to.nodes.size()), static_cast<int>(r)};
    to.nodes.push_back(std::move(copy));
  }
};

} // namespace

bool fuse(Function &function, PassContext &context) { return Fuser(function, context).run(); }

} // namespace nnc

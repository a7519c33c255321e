// hoist: what a loop computes step by step and need not is computed for all steps at once, before it or after it.
//
//   scan(carry %h = %h0, slice %x = %xs, %w, %u) {      %a = dot(%xs, %w, "abi,io->abo")
//     %z = add(dot(%x, %w), dot(%h, %u)) …         =>   scan(carry %h = %h0, slice %a, %u) { %z = add(%a, dot(%h, %u)) …
//
//   scan(carry %acc = 0, slice %h, …) {                 %zs = scan(…) { … yield %z }
//     … yield add(%acc, dot(%h, %z, "bi,bo->io"))  =>   %acc = dot(%hs, %zs, "abi,abo->io")
//
// Before the loop: what depends on nothing that differs from step to step, and what depends on slices only where it is a dot or
// another op that gains by being one, with elementwise ops on top. After it: sums of dots and sums that no step reads, and
// stacks behind a dot that no step reads; what they read of the loop is stacked instead. A dot of a concat is first taken apart
// where part of it depends on slices only, as is one whose result is sliced.
// What is computed for all steps at once is also stored for all of them. A loop in which no step waits for another, as one that
// adds up gradients over the pieces of a batch, would become that whole batch again: there products of many rows, which are as
// fast in the loop, stay in it, unless what they leave in memory is little beside what the loop reads and yields.
// Sums are added in another order; as many terms of one size, so no worse.
#include "passes/batch.h"
#include "passes/body.h"
#include "passes/loop.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

#include <algorithm>
#include <set>

namespace nnc {

namespace {

constexpr int64_t many_rows = 32;               // of a product: with more it does not become much faster
constexpr int64_t few_bytes = int64_t{1} << 20; // that nobody misses

// Worth being computed for all steps at once.
bool gains(Op op) {
  return op == Op::dot || op == Op::gather || op == Op::argsort || op == Op::scatter_add || op == Op::unwindow;
}

int64_t axis_of(const std::string &labels, char label) { return static_cast<int64_t>(labels.find(label)); }

// `value`, from `start` on along an axis.
Value part_of(Builder &build, Value value, int64_t axis, int64_t start, int64_t size) {
  Shape shape = build.shape(value), starts(shape.size(), 0), ones(shape.size(), 1);
  shape[axis] = size;
  starts[axis] = start;
  return build.slice(value, starts, shape, ones);
}

// The body with dots taken apart: dot(concat(a, b), w) = dot(a, w[:k]) + dot(b, w[k:]) where only a is had before the loop;
// dot(x, w)[k:] = dot(x, w[k:]) where all that is read of a dot are slices.
class DotSplitter {
public:
  DotSplitter(const Region &body, Batch &batch, std::vector<bool> needed)
      : old_(body), batch_(batch), build_(new_), needed_(std::move(needed)) {}

  // None where there is nothing to do.
  std::shared_ptr<const Region> run() {
    find_sliced_dots();
    bool changed = false;
    for (int i = 0; i < static_cast<int>(old_.nodes.size()); ++i) {
      Node node = old_.nodes[i];
      build_.loc = node.loc;
      Value value;
      if (node.op == Op::dot)
        value = of_concat(node);
      else if (node.op == Op::slice && sliced_.contains(node.operands[0].node))
        value = of_slice(node);
      if (value) {
        offer_name(build_, value, node.name());
        moved_[{i, 0}] = value;
        changed = true;
        continue;
      }
      for (Value &operand : node.operands)
        operand = moved_.at(operand);
      for (int k = 0; k < static_cast<int>(node.types.size()); ++k)
        moved_[{i, k}] = {static_cast<int>(new_.nodes.size()), k};
      new_.args += node.op == Op::arg;
      new_.nodes.push_back(std::move(node));
    }
    if (!changed)
      return nullptr;
    for (Value result : old_.results)
      new_.results.push_back(moved_.at(result));
    return std::make_shared<const Region>(std::move(new_));
  }

private:
  Value of_concat(const Node &node) {
    const DotLabels labels = parse_dot_labels(node.attrs.labels);
    for (int side = 0; side < 2; ++side) {
      const Node &concat = old_.node(node.operands[side]);
      if (concat.op != Op::concat)
        continue;
      const std::string &own = side == 0 ? labels.lhs : labels.rhs, &others = side == 0 ? labels.rhs : labels.lhs;
      const char label = own[concat.attrs.axis];
      const auto is_early = [&](Value part) { return batch_.kind(part) == Batch::Kind::steps; };
      const auto early = std::ranges::count_if(concat.operands, is_early);
      if (labels.summed.find(label) == labels.summed.npos || early == 0 || early == static_cast<int64_t>(concat.operands.size()))
        continue;
      Value sums[2]; // of what comes in the loop, and before it
      int64_t start = 0;
      for (Value part : concat.operands) {
        const int64_t size = old_.type(part).shape[concat.attrs.axis];
        const Value other = part_of(build_, moved_.at(node.operands[1 - side]), axis_of(others, label), start, size);
        const Value term =
            build_.dot(side == 0 ? moved_.at(part) : other, side == 0 ? other : moved_.at(part), node.attrs.labels);
        Value &sum = sums[is_early(part)];
        sum = sum ? build_.add(sum, term) : term;
        start += size;
      }
      return build_.add(sums[1], sums[0]);
    }
    return {};
  }

  // Dots that are read in slices along one axis only, and not all of them, or not all in the loop itself.
  void find_sliced_dots() {
    std::map<int, std::vector<int>> readers;
    for (int i = 0; i < static_cast<int>(old_.nodes.size()); ++i)
      for (Value operand : old_.nodes[i].operands)
        readers[operand.node].push_back(i);
    for (Value result : old_.results)
      readers[result.node].push_back(-1);
    for (const auto &[dot, users] : readers) {
      int64_t elements = 0;
      bool all = old_.nodes[dot].op == Op::dot, late = false;
      for (int user : users) {
        all = all && user >= 0 && slice_axis(old_.nodes[user]) >= 0;
        elements += all ? old_.nodes[user].type().elements() : 0;
        late |= all && !needed_[user];
      }
      const int64_t computed = all ? old_.nodes[dot].type().elements() : 0;
      if (all && (elements < computed || (late && elements == computed)))
        sliced_.insert(dot);
    }
  }

  // The only axis that the slice makes shorter; -1 where there are more.
  int64_t slice_axis(const Node &slice) const {
    if (slice.op != Op::slice)
      return -1;
    int64_t axis = -1;
    for (int64_t i = 0; i < slice.type().rank(); ++i)
      if (slice.attrs.stride[i] != 1)
        return -1;
      else if (slice.type().shape[i] != old_.type(slice.operands[0]).shape[i]) {
        if (axis >= 0)
          return -1;
        axis = i;
      }
    return axis;
  }

  Value of_slice(const Node &slice) {
    const Node &dot = old_.node(slice.operands[0]);
    const DotLabels labels = parse_dot_labels(dot.attrs.labels);
    const int64_t axis = slice_axis(slice);
    Value operands[2];
    for (int side = 0; side < 2; ++side) {
      const int64_t own = axis_of(side == 0 ? labels.lhs : labels.rhs, labels.result[axis]);
      operands[side] = moved_.at(dot.operands[side]);
      if (own >= 0)
        operands[side] = part_of(build_, operands[side], own, slice.attrs.start[axis], slice.type().shape[axis]);
    }
    return build_.dot(operands[0], operands[1], dot.attrs.labels);
  }

  const Region &old_;
  Batch &batch_;
  Region new_;
  Builder build_;
  std::map<Value, Value> moved_;
  std::set<int> sliced_;
  const std::vector<bool> needed_; // nodes from which a next value of a carry is computed
};

class Hoister {
public:
  Hoister(Builder &out, Node node) : out_(out), node_(std::move(node)), info_(node_.scan) {}

  // What takes the place of the results; none: nothing to do, the loop stays as it is.
  std::vector<Value> run() {
    body_ = node_.body;
    know_arguments();
    const std::vector<Value> next(body_->results.begin(), body_->results.begin() + info_.carries);
    if (std::shared_ptr<const Region> split = DotSplitter(*body_, *batch_, reached(*body_, next)).run()) {
      body_ = split;
      know_arguments();
    }
    choose_early(true);
    while (!choose_late())
      ;
    if (!has_order() && costs_memory())
      keep_steps();
    if (early_.empty() && late_.empty() && sums_.empty())
      return {};
    return emit();
  }

private:
  struct Sum {
    std::vector<Value> terms; // dots and sums
  };

  const Node &node(int i) const { return body_->nodes[i]; }
  bool is_early(int i) const { return early_.contains(i); }

  void know_arguments() {
    batch_.emplace(out_, *body_, info_.steps);
    for (int i = info_.carries; i < body_->args; ++i)
      batch_->know({i, 0}, node_.operands[i], i < info_.carries + info_.slices);
  }

  // A few ops on indices and numbers alone, as in a mask: to compute them costs less than to read what they would leave in
  // memory.
  bool is_index_arithmetic(Value v, int depth = 0) const {
    constexpr int deepest = 4;
    const Node &node = body_->node(v);
    if (is_free(node) || body_->type(stored_base(*body_, v)).elements() == 1)
      return true;
    const bool is_light = is_view(node.op) ? !stands_alone(node) : is_elementwise(node.op) && op_info(node.op).weight <= 1;
    return depth < deepest && is_light &&
           std::ranges::all_of(node.operands, [&](Value operand) { return is_index_arithmetic(operand, depth + 1); });
  }

  // Nodes that are computed before the loop.
  void choose_early(bool steps) {
    for (int i = body_->args; i < static_cast<int>(body_->nodes.size()); ++i) {
      const Node &node = this->node(i);
      if (node.op == Op::constant || node.op == Op::iota || node.op == Op::scan)
        continue;
      const Batch::Kind kind = batch_->kind({i, 0});
      const bool is_a_view = is_view(node.op) && !stands_alone(node);
      const auto from_early = [&](Value v) { return is_early(stored_base(*body_, v).node); };
      if (kind == Batch::Kind::same ? !is_a_view && (node.type().elements() == 1 || !is_index_arithmetic({i, 0}))
                                    : steps && kind == Batch::Kind::steps &&
                                          (gains(node.op) || ((is_elementwise(node.op) || is_reduce(node.op)) &&
                                                              std::ranges::any_of(node.operands, from_early))))
        early_.insert(i);
    }
    // Only what the loop still reads.
    const std::vector<bool> live = reached(*body_, body_->results, [&](int i) { return is_early(i); });
    std::erase_if(early_, [&](int i) { return !live[i]; });
  }

  // Nodes that the values need, as far as they are computed in the loop.
  void need(const std::vector<Value> &values, std::vector<bool> &needed) const {
    const std::vector<bool> more = reached(*body_, values, [&](int i) { return is_early(i); });
    for (size_t i = 0; i < more.size(); ++i)
      needed[i] = needed[i] || more[i];
  }

  // Sums and stacks that are made after the loop. False: a sum could not be, to be called again.
  bool choose_late() {
    sums_.clear();
    late_.clear();
    frontier_.clear();
    know_arguments();
    std::vector<bool> needed(body_->nodes.size());
    for (int i = 0; i < info_.carries; ++i)
      if (std::optional<Sum> sum = in_loop_.contains(i) ? std::nullopt : sum_of(i))
        sums_.emplace(i, std::move(*sum));
      else
        need({body_->results[i]}, needed);
    std::vector<int> candidates;
    for (int r = info_.carries; r < static_cast<int>(body_->results.size()); ++r)
      if (batch_->kind(body_->results[r]) != Batch::Kind::unknown)
        late_.insert(r); // no carry in it
      else if (has_late_dot(body_->results[r], needed))
        candidates.push_back(r);
      else
        need({body_->results[r]}, needed);
    for (int r : candidates)
      if (can_follow(body_->results[r], needed))
        late_.insert(r);
      else
        need({body_->results[r]}, needed);
    for (const auto &[carry, sum] : sums_)
      for (Value term : sum.terms)
        for (Value operand : body_->node(term).operands)
          if (!can_follow(operand, needed)) {
            in_loop_.insert(carry);
            return false;
          }
    return true;
  }

  bool has_late_dot(Value value, const std::vector<bool> &needed) const {
    const std::vector<bool> tree = reached(*body_, {value}, [&](int i) { return needed[i]; });
    for (size_t i = 0; i < tree.size(); ++i)
      if (tree[i] && !needed[i] && node(static_cast<int>(i)).op == Op::dot)
        return true;
    return false;
  }

  // Whether the value can be had after the loop, from what the loop needs anyway; that becomes known, to be stacked.
  bool can_follow(Value value, const std::vector<bool> &needed) {
    std::set<Value> found;
    std::vector<Value> left = {value};
    while (!left.empty()) {
      const Value v = left.back();
      left.pop_back();
      if (batch_->kind(v) != Batch::Kind::unknown)
        continue;
      const Node &node = body_->node(v);
      if (needed[v.node] || node.op == Op::arg)
        found.insert(v);
      else
        left.insert(left.end(), node.operands.begin(), node.operands.end());
    }
    for (Value v : found)
      batch_->know(v, {}, true);
    if (batch_->kind(value) != Batch::Kind::unknown) {
      frontier_.insert(found.begin(), found.end());
      return true;
    }
    for (Value v : found) // it is not stacked, so nothing else can rely on it
      batch_->forget(v);
    return false;
  }

  // Does a step wait for another? Not for a carry that only adds up what the steps yield.
  bool has_order() const {
    for (int i = 0; i < info_.carries; ++i) {
      Value v{i, 0};
      while (v != body_->results[i]) { // from reader to reader, each the only one
        const auto reader = std::ranges::find_if(
            body_->nodes, [&](const Node &node) { return std::ranges::find(node.operands, v) != node.operands.end(); });
        if (!read_once(v) || reader == body_->nodes.end() || reader->op != Op::add)
          return true;
        v = {static_cast<int>(reader - body_->nodes.begin()), 0};
      }
      if (v != Value{i, 0} && !read_once(v))
        return true;
    }
    return false;
  }

  // Whether products of many rows, which gain little, would leave much more in memory than the loop reads and yields anyway.
  bool costs_memory() {
    int64_t bytes = 0, seen = few_bytes;
    double work = 0, gained = 0;
    for (int i = body_->args; i < static_cast<int>(body_->nodes.size()); ++i) {
      const Node &node = this->node(i);
      const bool summed = std::ranges::any_of(sums_, [&](const auto &sum) { // for all steps at once, and none of them stored
        return std::ranges::find(sum.second.terms, Value{i, 0}) != sum.second.terms.end();
      });
      if (!summed && (!gains(node.op) || batch_->kind({i, 0}) != Batch::Kind::steps))
        continue;
      bytes += summed ? 0 : node.type().bytes() * info_.steps;
      if (node.op == Op::dot) {
        work += dot_work(node);
        gained += rows_of(node, summed) < many_rows ? dot_work(node) : 0;
      }
    }
    for (Value v : frontier_)
      bytes += body_->type(v).bytes() * info_.steps;
    for (int i = info_.carries; i < info_.carries + info_.slices; ++i)
      seen += body_->type({i, 0}).bytes() * info_.steps;
    for (int r = info_.carries; r < static_cast<int>(body_->results.size()); ++r)
      seen += body_->type(body_->results[r]).bytes() * info_.steps;
    return work > 2 * gained && bytes > seen;
  }

  double dot_work(const Node &dot) const {
    const DotLabels labels = parse_dot_labels(dot.attrs.labels);
    auto work = static_cast<double>(dot.type().elements());
    for (size_t k = 0; k < labels.lhs.size(); ++k)
      if (labels.result.find(labels.lhs[k]) == labels.result.npos)
        work *= static_cast<double>(body_->type(dot.operands[0]).shape[k]);
    return work;
  }

  // How many rows of a step one product for all steps would join: rows of the operand that differs, where the other is the same
  // in all, or terms of a sum over the steps. Where both differ nothing is joined.
  int64_t rows_of(const Node &dot, bool summed) {
    const DotLabels labels = parse_dot_labels(dot.attrs.labels);
    const bool left = batch_->kind(dot.operands[0]) == Batch::Kind::steps,
               right = batch_->kind(dot.operands[1]) == Batch::Kind::steps;
    if (!summed && left && right)
      return many_rows;
    const int side = left ? 0 : 1;
    const std::string &own = side == 0 ? labels.lhs : labels.rhs, &other = side == 0 ? labels.rhs : labels.lhs;
    int64_t rows = 1;
    for (size_t k = 0; k < own.size(); ++k)
      if (const bool in_result = labels.result.find(own[k]) != labels.result.npos, in_other = other.find(own[k]) != other.npos;
          summed ? !in_result : in_result && !in_other)
        rows *= body_->type(dot.operands[side]).shape[k];
    return rows;
  }

  // Only what is the same in all steps moves.
  void keep_steps() {
    sums_.clear();
    late_.clear();
    frontier_.clear();
    early_.clear();
    know_arguments();
    choose_early(false);
  }

  // The carry as first value + sum over all steps of dots and sums, which nothing else reads.
  std::optional<Sum> sum_of(int carry) const {
    const Value next = body_->results[carry];
    if (!read_once({carry, 0}) || !read_once(next) || body_->node(next).op != Op::add)
      return std::nullopt;
    Sum sum;
    bool found = false; // the carry itself among what is added
    std::vector<Value> left = body_->node(next).operands;
    while (!left.empty()) {
      const Value v = left.back();
      left.pop_back();
      const Node &node = body_->node(v);
      if (v == Value{carry, 0})
        found = true;
      else if (node.op == Op::add && read_once(v))
        left.insert(left.end(), node.operands.begin(), node.operands.end());
      else if (node.op == Op::dot || node.op == Op::sum)
        sum.terms.push_back(v);
      else
        return std::nullopt;
    }
    return found && !sum.terms.empty() ? std::optional(std::move(sum)) : std::nullopt;
  }

  bool read_once(Value v) const {
    int64_t readers = std::ranges::count(body_->results, v);
    for (const Node &node : body_->nodes)
      readers += std::ranges::count(node.operands, v);
    return readers == 1;
  }

  std::vector<Value> emit() {
    std::vector<Value> args, operands, results;
    const auto pass = [&](Value arg, Value operand) {
      args.push_back(arg);
      operands.push_back(operand);
    };
    std::vector<int> kept; // results of the old loop that are some of the new one
    for (int r = 0; r < static_cast<int>(body_->results.size()); ++r)
      if (!sums_.contains(r) && !late_.contains(r)) {
        kept.push_back(r);
        results.push_back(body_->results[r]);
        if (r < info_.carries)
          pass({r, 0}, node_.operands[r]);
      }
    std::vector<Value> stacked; // in the frontier and not yet among the results
    const int carries = static_cast<int>(args.size());
    for (Value v : frontier_)
      if (std::find(results.begin() + carries, results.end(), v) == results.end()) {
        stacked.push_back(v);
        results.push_back(v);
      }
    const std::vector<bool> live = reached(*body_, results, [&](int i) { return is_early(i); });
    ScanInfo info{.steps = info_.steps, .carries = carries, .reverse = info_.reverse};
    for (bool steps : {true, false}) {
      for (int i = info_.carries; i < body_->args; ++i)
        if (live[i] && (i < info_.carries + info_.slices) == steps)
          pass({i, 0}, node_.operands[i]);
      for (int i : early_)
        if (live[i] && (batch_->kind({i, 0}) == Batch::Kind::steps) == steps)
          pass({i, 0}, batch_->make({i, 0}).value);
      if (steps)
        info.slices = static_cast<int>(args.size()) - carries;
    }

    out_.loc = node_.loc;
    std::vector<Value> given(body_->results.size());
    if (!results.empty()) {
      const Value loop = out_.scan(info, std::move(operands), extract(*body_, args, results));
      for (size_t k = 0; k < results.size(); ++k) {
        const Value v{loop.node, static_cast<int>(k)};
        if (k < kept.size())
          given[kept[k]] = v;
        if (frontier_.contains(results[k]) && static_cast<int>(k) >= carries)
          batch_->know(results[k], v, true);
      }
    }
    for (int r : late_)
      given[r] = batch_->make_steps(body_->results[r]);
    for (const auto &[carry, sum] : sums_)
      given[carry] = total(carry, sum);
    for (size_t r = 0; r < given.size(); ++r)
      offer_name(out_, given[r], node_.names[r]);
    return given;
  }

  Value total(int carry, const Sum &sum) {
    const Node &first = out_.region().node(node_.operands[carry]);
    Value total;
    if (first.op != Op::constant || !first.data->splat || first.data->get(0) != 0)
      total = node_.operands[carry];
    for (Value term : sum.terms) {
      const Value all = over_steps(body_->node(term));
      out_.loc = body_->node(term).loc;
      total = total ? out_.add(total, all) : all;
    }
    return total;
  }

  // The sum over all steps of a dot or a sum.
  Value over_steps(const Node &term) {
    std::vector<Batch::All> operands;
    for (Value operand : term.operands)
      operands.push_back(batch_->make(operand));
    out_.loc = term.loc;
    if (term.op == Op::sum) {
      Shape axes = term.attrs.axes;
      if (operands[0].steps) {
        for (int64_t &axis : axes)
          ++axis;
        axes.insert(axes.begin(), 0);
      }
      return times_steps(out_.sum(operands[0].value, axes), operands[0].steps);
    }
    const bool both = operands[0].steps && operands[1].steps;
    std::string labels = term.attrs.labels;
    if (both) {
      char step = 'a';
      while (labels.find(step) != labels.npos)
        ++step;
      labels.insert(labels.find(',') + 1, 1, step);
      labels.insert(0, 1, step);
    } else {
      for (Batch::All &operand : operands)
        if (operand.steps)
          operand.value = out_.sum(out_.cast(operand.value, wide_dtype(out_.type(operand.value).dtype)), {0});
    }
    return times_steps(out_.dot(operands[0].value, operands[1].value, labels), operands[0].steps || operands[1].steps);
  }

  Value times_steps(Value v, bool has_them) { return has_them ? v : out_.mul(v, out_.like(v, static_cast<double>(info_.steps))); }

  Builder &out_;
  const Node node_; // its operands are in the region of out_
  const ScanInfo info_;
  std::shared_ptr<const Region> body_;
  std::optional<Batch> batch_;
  std::set<int> early_;      // nodes whose values the loop gets from before it
  std::set<int> late_;       // results (stacks) that are made after it
  std::map<int, Sum> sums_;  // carries that are
  std::set<int> in_loop_;    // carries that look like sums and must stay
  std::set<Value> frontier_; // what the loop stacks for late_ and sums_
};

} // namespace

bool hoist(Function &function, PassContext &context) {
  if (!has_scan(function))
    return false;
  Rewriter rewriter(function);
  bool changed = false;
  for (int i = 0; i < rewriter.size(); ++i) {
    Node node = rewriter.take(i);
    std::vector<Value> results;
    if (node.op == Op::scan && !context.exhausted())
      results = Hoister(rewriter.build, node).run();
    if (results.empty()) {
      rewriter.keep(i, std::move(node));
      continue;
    }
    context.allow("hoist", node.label());
    changed = true;
    for (int k = 0; k < static_cast<int>(results.size()); ++k)
      rewriter.replace({i, k}, results[k]);
  }
  rewriter.finish();
  return changed;
}

} // namespace nnc

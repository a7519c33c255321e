// `scan`: the body is lowered once, into a draft of its own, and becomes the body of one node.
//
// What the text of the body assigns to names that are bound outside is carried; so is assigned state, which comes to light while
// the body is lowered. All else that the body reads from outside is the same in every step. The names of the body end with it:
// they stand for one step.
#include "frontend/lowering.h"

#include <algorithm>
#include <fmt/format.h>

#include <set>

namespace nnc {

namespace {

void find_assigned(const ast::Block &block, std::set<std::string> &names) {
  const auto add = [&](const std::vector<ast::Target> &targets) {
    for (const ast::Target &target : targets)
      names.insert(target.name.text);
  };
  for (const ast::Stmt &stmt : block.statements)
    if (auto *assign = stmt.as<ast::Assign>()) {
      if (!assign->to_state)
        add(assign->targets);
    } else if (auto *loop = stmt.as<ast::Loop>()) {
      add(loop->targets);
      find_assigned(loop->body, names);
    } else if (auto *choice = stmt.as<ast::If>()) {
      for (const ast::If::Branch &branch : choice->branches)
        find_assigned(branch.body, names);
      if (choice->otherwise)
        find_assigned(*choice->otherwise, names);
    }
}

// Of what is yielded, with the axis of the steps in front.
Type stacked_type(Type type, int64_t steps) {
  type.shape.insert(type.shape.begin(), steps);
  return type;
}

// The same data with `change` applied to its tensors.
template <typename Change> Datum with_tensors(const Datum &datum, Change change) {
  if (const auto *tensor = datum.as<TensorRef>())
    return change(*tensor);
  const auto *list = datum.list();
  if (!list)
    return datum;
  std::vector<Datum> items;
  for (const Datum &item : *list)
    items.push_back(with_tensors(item, change));
  return make_list(std::move(items));
}

} // namespace

Datum Lowering::imported(const Datum &datum) {
  return with_tensors(datum, [&](TensorRef tensor) {
    if (const std::optional<Value> here = emit.draft->imported(tensor)) {
      tensor.value = *here;
      tensor.home = emit.draft;
    }
    return Datum(tensor);
  });
}

// One tensor, or the numbers of a range, the axis that the loop goes along in front.
TensorRef Lowering::sequence(const ast::Expr &expr, const Operand &axis) {
  if (const auto *range = expr.as<ast::Binary>(); range && range->links[0].op == ast::BinaryOp::range) { // of any length
    const int64_t first = emit.whole_number(operand(*range->left), "the start"),
                  end = emit.whole_number(operand(*range->links[0].right), "the end");
    if (end <= first)
      trace.fail(expr.span, fmt::format("a loop over {}..{} has no step, and a tensor no axis of size 0", first, end));
    if (end > INT32_MAX || first < INT32_MIN)
      trace.fail(expr.span, fmt::format("a loop over {}..{}: its numbers must fit into i32", first, end));
    Builder &b = emit.at(expr.span);
    const Value numbers = b.iota(DType::i32, {end - first}, 0);
    return emit.ref(first == 0 ? numbers : b.add(numbers, b.constant_int(b.type(numbers), first)));
  }
  const Operand given = operand(expr);
  if (!given.datum.is<TensorRef>() && !given.datum.list())
    trace.fail(expr.span, fmt::format("`scan` goes along the first axis of a tensor, of several in zip(a, b), or through a..b, "
                                      "not {}",
                                      kind_text(given.datum)));
  bool all_whole = given.datum.list() && !given.datum.list()->empty();
  for (size_t i = 0; all_whole && i < given.datum.list()->size(); ++i) {
    const auto *number = (*given.datum.list())[i].as<Number>();
    all_whole = number && whole(*number);
    if ((*given.datum.list())[i].is<TensorRef>())
      trace.fail(expr.span, "`scan` goes along one tensor; a list of tensors is for `for`");
  }
  const TensorRef tensor = emit.tensor(given, all_whole ? std::optional(DType::i32) : std::nullopt);
  refuse_if_elementwise(tensor, "loop along an axis", expr.span);
  if (tensor.type.rank() == 0)
    trace.fail(expr.span, fmt::format("`scan` goes along the first axis of a tensor, and {} has none", type_text(tensor.type)));
  return moved_axis(tensor, emit.axes_of(tensor, axis)[0], 0, expr.span);
}

TensorRef Lowering::moved_axis(const TensorRef &tensor, int64_t from, int64_t to, const Span &at) {
  if (from == to)
    return tensor;
  Shape axes;
  for (int64_t i = 0; i < tensor.type.rank(); ++i)
    axes.push_back(i);
  axes.erase(axes.begin() + from);
  axes.insert(axes.begin() + to, from);
  return emit.ref(emit.at(at).transpose(tensor.value, axes));
}

// What the loop goes along: one tensor, or those that `zip` joins, and their common length.
std::vector<TensorRef> Lowering::sequences(const ast::Loop &loop, const Operand &axis, int64_t &steps) {
  std::vector<const ast::Expr *> exprs = {loop.sequence.get()};
  if (const auto *call = loop.sequence->as<ast::Call>())
    if (const auto *callee = call->callee->as<ast::Ref>(); callee && callee->name == "zip")
      if (const auto function = lookup_function("zip"); function && function->builtin) {
        exprs.clear();
        for (const ast::Arg &arg : call->args)
          exprs.push_back(arg.value.get());
      }
  if (exprs.empty())
    trace.fail(loop.sequence->span, "`zip` needs a tensor to go along");
  std::vector<TensorRef> tensors;
  for (const ast::Expr *expr : exprs) {
    tensors.push_back(sequence(*expr, axis));
    const int64_t count = tensors.back().type.shape[0];
    if (tensors.size() > 1 && count != steps) {
      Diagnostic &error = trace.error(expr->span, fmt::format("{} steps of {} and {} of {}", steps, operand_text(exprs[0]->span),
                                                              count, operand_text(expr->span)));
      emit.note_size(error, tensors[0], 0);
      emit.note_size(error, tensors.back(), 0);
      throw Poisoned{};
    }
    steps = count;
  }
  if (loop.names.size() > 1 && loop.names.size() != tensors.size())
    trace.fail(loop.sequence->span, fmt::format("{} names for {} tensors", loop.names.size(), tensors.size()));
  return tensors;
}

// What a carry is after a step must be of the type that it had before, tensor by tensor.
void Lowering::next_values(const std::string &name, const Binding &binding, const Span &start, const Datum &before,
                           const Datum &after, std::vector<Value> &next) {
  if (after.is<Poison>())
    throw Poisoned{};
  const auto fail = [&](std::string_view hint) {
    trace.fail(binding.at,
               fmt::format("`{}` is {} before the loop and {} after a step: {}", name, kind_text(before), kind_text(after), hint),
               start, "it starts here");
  };
  if (const auto *tensor = before.as<TensorRef>()) {
    if (!after.is<TensorRef>() && !(after.is<Number>() || after.is<bool>()))
      fail("what is carried keeps its type");
    const TensorRef value =
        emit.tensor({after, binding.at}, after.is<TensorRef>() ? std::nullopt : std::optional(tensor->type.dtype));
    if (value.type != tensor->type)
      fail("what is carried keeps its type");
    next.push_back(emit.value(value, binding.at));
    return;
  }
  const auto *list = before.list(), *now = after.list();
  if (list && now && list->size() == now->size()) {
    for (size_t i = 0; i < list->size(); ++i)
      next_values(name, binding, start, (*list)[i], (*now)[i], next);
    return;
  }
  if (list ? true
           : !same_constant(before, after) &&
                 !(before.is<FunctionRef>() && after.is<FunctionRef>() && *before.as<FunctionRef>() == *after.as<FunctionRef>()))
    fail(list ? "what is carried keeps its length" : "what is carried is a tensor; start from one, as in zeros([…])");
}

void Lowering::run_scan(const ast::Loop &loop) {
  if (emit.draft == init_.get())
    trace.fail(loop.word, "an initialiser has no loop");
  if (const auto *range = loop.sequence->as<ast::Binary>();
      range && range->links[0].op == ast::BinaryOp::range && loop.targets.empty() &&
      emit.whole_number(operand(*range->links[0].right), "the end") <= emit.whole_number(operand(*range->left), "the start"))
    return; // no step: what would be carried stays as it is
  int64_t steps = 0;
  const Operand axis = loop.axis ? operand(*loop.axis) : Operand{Number::whole(0), loop.word};
  emit.whole_number(axis, "the axis of a `scan`");
  const std::vector<TensorRef> along = sequences(loop, axis, steps);
  std::set<std::string> assigned, carried;
  find_assigned(loop.body, assigned);
  const auto is_loop_name = [&](const std::string &name) {
    return std::any_of(loop.names.begin(), loop.names.end(), [&](const ast::Name &own) { return own.text == name; });
  };

  Draft &outer = *emit.draft;
  Draft body(outer, steps);
  auto before = frame_->names;
  std::map<std::string, Datum> starts;
  for (const std::string &name : assigned)
    if (auto binding = before.find(name); binding != before.end() && !is_loop_name(name)) {
      if (binding->second.state < 0 && binding->second.datum.is<Poison>())
        continue; // it was said
      starts[name] = read(binding->second);
      carried.insert(name);
    }
  for (const std::string &name : carried)
    bind(name,
         with_tensors(starts[name],
                      [&](TensorRef tensor) {
                        tensor.value = body.carry(emit.value(tensor, loop.word), name);
                        tensor.home = &body;
                        tensor.state = -1;
                        return Datum(tensor);
                      }),
         before.at(name).at);
  std::vector<Datum> slices;
  for (const TensorRef &tensor : along) {
    const Value slice = body.slice(tensor.value);
    if (loop.names.size() == along.size())
      body.name(slice, loop.names[slices.size()].text);
    slices.emplace_back(TensorRef{slice, body.b.type(slice), &body});
  }
  bind_loop_names(loop, {slices.size() == 1 ? slices[0] : make_list(std::move(slices)), loop.sequence->span});

  std::vector<std::vector<Datum>> yields(loop.targets.size());
  std::vector<Value> next, stacks;
  std::vector<int64_t> stacked_axes; // of what is yielded
  const bool was_poisoned = std::exchange(poisoned_, false);
  auto *outer_yields = std::exchange(frame_->yields, &yields);
  emit.draft = &body;
  body.b.loc = trace.loc(loop.word);
  try {
    const bool returned = run_block(loop.body);
    if (poisoned_)
      throw Poisoned{};
    if (returned)
      trace.fail(loop.word, "a `scan` runs all its steps: no `return` inside");
    for (const std::string &name : carried)
      next_values(name, frame_->names.at(name), before.at(name).at, starts[name], frame_->names.at(name).datum, next);
    for (size_t i = 0; i < yields.size(); ++i) {
      if (yields[i].size() != 1)
        trace.fail(loop.targets[i].span, fmt::format("every step yields once; this one yields {} times", yields[i].size()));
      yields[i][0] = with_tensors(yields[i][0], [&](const TensorRef &tensor) {
        stacks.push_back(emit.value(tensor, loop.targets[i].span));
        return Datum(tensor);
      });
      if (yields[i][0].is<Number>() || yields[i][0].is<bool>()) {
        yields[i][0] = emit.tensor({yields[i][0], loop.targets[i].span});
        stacks.push_back(yields[i][0].as<TensorRef>()->value);
      }
      with_tensors(yields[i][0], [&](const TensorRef &tensor) { // is there such an axis?
        stacked_axes.push_back(emit.axes_of(TensorRef{{}, stacked_type(tensor.type, steps)}, axis)[0]);
        return Datum(tensor);
      });
    }
    if (const int state = body.stale_state(); state >= 0)
      trace.fail(loop.word, fmt::format("`{}` was read before the loop and is assigned in it; read it anew in the loop",
                                        states_[state].path));
  } catch (const Poisoned &) {
    poisoned_ = true;
  }
  bodies_ += body.size();
  emit.draft = &outer;
  frame_->yields = outer_yields;
  const bool failed = std::exchange(poisoned_, poisoned_ || was_poisoned);
  auto after = std::exchange(frame_->names, std::move(before));
  if (failed) {
    for (const std::string &name : assigned)
      bind(name, Datum(), loop.word);
    return poison(loop.targets);
  }

  const std::vector<Value> results = body.finish_loop(std::move(next), stacks, states_, trace.loc(loop.word));
  size_t at = 0;
  const auto take = [&](const TensorRef &) { return Datum(emit.ref(results[at++])); };
  for (const std::string &name : carried) {
    const Binding &now = after.at(name);
    const Datum last = with_tensors(starts[name], take);
    with_tensors(last, [&](const TensorRef &tensor) {
      outer.name(tensor.value, name);
      return Datum(tensor);
    });
    bind(name, last, now.at);
  }
  // A name through which a state was assigned has its value.
  for (const auto &[name, binding] : after)
    if (const auto *tensor = binding.datum.as<TensorRef>();
        tensor && tensor->home == &body && tensor->state >= 0 && frame_->names.count(name) && !carried.count(name))
      bind(name, current(tensor->state), binding.at);
  size_t stack = 0;
  const auto take_stack = [&](const TensorRef &) {
    return Datum(moved_axis(emit.ref(results[at++]), 0, stacked_axes[stack++], loop.word));
  };
  for (size_t i = 0; i < loop.targets.size(); ++i)
    assign_name(loop.targets[i], {with_tensors(yields[i][0], take_stack), loop.targets[i].span},
                results.empty() ? 0 : results[0].node);
}

} // namespace nnc

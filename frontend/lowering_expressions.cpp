// Expressions: names, literals and operators. Calls are in lowering_calls.cpp.
#include "frontend/foreign.h"
#include "frontend/lowering.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <fmt/format.h>
#include <utility>

namespace nnc {

namespace {
constexpr int deepest = 1000;             // expressions and blocks within one another, over all calls
constexpr double longest_range = 1e6;     // items of `a..b`
constexpr int64_t most_steps = 5'000'000; // of evaluating the whole program once
constexpr int64_t most_nodes = 250'000;   // in one entry
} // namespace

Lowering::Nesting::Nesting(Lowering &lowering, const Span &at) : lowering(lowering) {
  if (lowering.depth_ >= deepest)
    lowering.trace.fail(at, fmt::format("calls, blocks and expressions are nested more than {} levels deep", deepest));
  ++lowering.depth_;
}

void Lowering::spend(int64_t steps) {
  steps_ += steps;
  if (steps_ > most_steps && !std::exchange(exhausted_, true))
    trace.error(
        evaluating_,
        fmt::format("the program takes more than {} steps to evaluate; calls and loops in one another multiply", most_steps));
  if (emit.draft && bodies_ + emit.draft->operations() > most_nodes && !std::exchange(too_large_, true))
    trace.error(evaluating_, fmt::format("this entry needs more than {} operations; a long loop is a `scan`", most_nodes));
  if (exhausted_ || too_large_)
    throw Poisoned{};
}

Datum Lowering::eval(const ast::Expr &expr) {
  const Nesting nesting(*this, expr.span);
  evaluating_ = expr.span;
  spend(1);
  try {
    return eval_expr(expr);
  } catch (const TooLarge &error) {
    trace.fail(expr.span, error.what());
  }
}

Datum Lowering::eval_expr(const ast::Expr &expr) {
  if (auto *number = expr.as<ast::Number>())
    return number->integer ? Number::whole(*number->integer) : Number(number->value);
  if (auto *string = expr.as<ast::String>())
    return string->text;
  if (auto *boolean = expr.as<ast::Bool>())
    return boolean->value;
  if (auto *ref = expr.as<ast::Ref>())
    return eval_ref(*ref, expr.span);
  if (auto *list = expr.as<ast::List>())
    return eval_list(*list);
  if (auto *unary = expr.as<ast::Unary>())
    return emit.unary(unary->op, operand(*unary->operand), unary->op_span);
  if (auto *binary = expr.as<ast::Binary>())
    return eval_binary(*binary);
  if (auto *call = expr.as<ast::Call>())
    return eval_call(*call, expr.span);
  if (auto *index = expr.as<ast::Index>()) {
    const Operand base = operand(*index->base);
    refuse_if_elementwise(base.datum, "indexing", expr.span);
    return emit.index(base, subscripts(index->subscripts));
  }
  if (auto *transpose = expr.as<ast::Transpose>()) {
    const Operand base = operand(*transpose->base);
    refuse_if_elementwise(base.datum, "`.T`", expr.span);
    return call_builtin(*find_builtin("transpose"), {{std::nullopt, base}}, expr.span);
  }
  assert(false && "`...` stands in lists and types, which know it");
  throw Poisoned{};
}

Operand Lowering::operand(const ast::Expr &expr) {
  Operand operand{eval(expr), expr.span};
  if (operand.datum.is<Poison>())
    throw Poisoned{};
  return operand;
}

std::vector<Operand> Lowering::operands(const std::vector<const ast::Expr *> &exprs) {
  std::vector<Operand> operands;
  for (const ast::Expr *expr : exprs)
    try {
      operands.push_back(operand(*expr));
    } catch (const Poisoned &) {
      if (trace.is_full())
        throw;
    }
  if (operands.size() != exprs.size())
    throw Poisoned{};
  return operands;
}

// The parts of an elementwise function stand for one element, though they are whole tensors here.
void Lowering::refuse_if_elementwise(const Datum &datum, std::string_view what, const Span &at) {
  if (!frame_->elementwise.empty() && datum.is<TensorRef>())
    trace.fail(at, fmt::format("`{}` is elementwise, as its parameters are scalars: no {} in it", frame_->elementwise, what));
}

Datum Lowering::read(const Binding &binding) {
  if (binding.state >= 0)
    return current(binding.state);
  if (binding.datum.is<Poison>())
    throw Poisoned{};
  if (!emit.draft || !emit.draft->is_body())
    return binding.datum;
  spend(binding.datum.size());
  return imported(binding.datum);
}

std::optional<Datum> Lowering::lookup_value(const std::string &name) {
  if (auto found = frame_->names.find(name); found != frame_->names.end())
    return read(found->second);
  if (const ast::Decl *decl = names_.decl(name, frame_->source))
    return current(file_state(*decl));
  if (const ast::Const *item = names_.constant(name, frame_->source))
    return constant(*item);
  if (name == "training") {
    asked_training_ = asked_training_ || !frame_->mode_given;
    return frame_->training;
  }
  if (std::optional<DType> dtype = dtype_from_name(name))
    return *dtype;
  return std::nullopt;
}

std::optional<FunctionRef> Lowering::lookup_function(const std::string &name) const {
  const ast::Func *func = names_.function(name, frame_->source);
  const Builtin *builtin = find_builtin(name);
  if (func && (!builtin || !is_library(func->head.source)))
    return FunctionRef{.func = func};
  if (builtin)
    return FunctionRef{.builtin = builtin};
  return std::nullopt;
}

Datum Lowering::eval_ref(const ast::Ref &ref, const Span &span) {
  if (const ast::Decl *decl = names_.decl(ref.name, frame_->source); decl && !emit.draft && !frame_->names.count(ref.name))
    trace.fail(span, fmt::format("`{}` is a {}: it has no value at compile time", ref.name, ast::spelling(decl->kind)),
               decl->head, "declared here");
  if (std::optional<Datum> value = lookup_value(ref.name))
    return *value;
  if (std::optional<FunctionRef> function = lookup_function(ref.name))
    return *function;
  fail_unknown(ref.name, span, "name");
}

void Lowering::fail_unknown(const std::string &name, const Span &span, std::string_view what) {
  if (names_.is_missing(name)) // said at the `use`
    throw Poisoned{};
  trace.fail(span, fmt::format("unknown {} `{}`{}", what, name, hint_for_unknown(name, span, what)));
}

// The end of the message: what was meant.
std::string Lowering::hint_for_unknown(const std::string &name, const Span &span, std::string_view what) {
  const bool is_dtype = what == "dtype", capital = name[0] >= 'A' && name[0] <= 'Z';
  const std::string_view before = span.source->text().substr(0, span.begin);
  if (before.ends_with("//") || before.ends_with("// "))
    return ": `//` divides, and a comment starts with `#`";
  if (const std::string_view dtype = dtype_instead_of(name); !dtype.empty())
    return fmt::format(": write `{}`", dtype);
  if (is_dtype && (plain_word(name) == "tensor" || plain_word(name) == "array" || plain_word(name) == "ndarray"))
    return ": a tensor's type is its dtype and its sizes, as in `f32[2, 3]`";
  if (is_dtype && !capital)
    return ": there are f32, f64, bf16, f16, i8, u8, i32, i64 and bool";
  if (what == "state")
    return ": `:=` assigns to a `param` or `state`, and `=` names a value";
  if (is_dtype) {
    if (const std::optional<Datum> value = lookup_value(name))
      return fmt::format(": `{}` is {}", name, kind_text(*value));
  } else {
    std::vector<std::string> known;
    for (const auto &[local, _] : frame_->names)
      known.push_back(local);
    using Meant = Names::Meant;
    const Meant meant = what == "function" ? Meant::function : what == "optimizer" ? Meant::optimizer : Meant::value;
    if (const std::string_view instead = instead_of(name); !instead.empty() && meant != Meant::optimizer)
      return fmt::format(": {}", instead);
    if (std::string near = names_.did_you_mean(name, meant, known, frame_->source); !near.empty())
      return near;
  }
  if (!capital || what == "function" || what == "optimizer")
    return "";
  if (frame_->func && frame_->func->kind == ast::Func::Kind::entry)
    return is_dtype ? ": the types of an entry are known, as in `f32[4]`"
                    : fmt::format(": the sizes of an entry are numbers; write one, or `const {} = 4` at file level", name);
  return "; a call binds a capitalised name where it stands alone in a parameter's type, from left to right";
}

Datum Lowering::eval_list(const ast::List &list) {
  std::vector<Datum> items;
  for (const ast::ExprPtr &item : list.items) {
    if (!item->as<ast::Ellipsis>()) {
      items.push_back(eval(*item));
      continue;
    }
    if (!frame_->leading)
      trace.fail(item->span, "`...` has no value: no parameter of this function has `...` in its type");
    for (int64_t size : *frame_->leading)
      items.emplace_back(static_cast<double>(size));
  }
  return make_list(std::move(items));
}

Datum Lowering::eval_binary(const ast::Binary &binary) {
  Operand left = operand(*binary.left);
  for (const ast::Binary::Link &link : binary.links) {
    spend(1);
    left = {eval_link(left, link), join(left.span, link.right->span)};
    if (left.datum.is<Poison>())
      throw Poisoned{};
  }
  return left.datum;
}

Datum Lowering::eval_link(const Operand &left, const ast::Binary::Link &link) {
  using Op = ast::BinaryOp;
  if (const auto *decided = left.datum.as<bool>()) // what cannot matter is not evaluated
    if ((link.op == Op::logical_and && !*decided) || (link.op == Op::logical_or && *decided))
      return *decided;
  const Operand right = operand(*link.right);
  if (link.op == Op::matmul)
    refuse_if_elementwise(left.datum.is<TensorRef>() ? left.datum : right.datum, "`@`", link.op_span);
  if (link.op != Op::range) {
    const int64_t a = left.datum.size(), b = right.datum.size();
    spend(std::min(a, b) + (link.op == Op::add ? (a + b) / 8 : 0)); // lists are compared, or joined
    return emit.binary(link.op, left, right, link.op_span);
  }
  const int64_t first = emit.whole_number(left, "the start"), end = emit.whole_number(right, "the end");
  if (static_cast<double>(end) - static_cast<double>(first) > longest_range)
    trace.fail(join(left.span, right.span),
               fmt::format("a list of {} numbers is too long; a loop that long is a `scan`", end - first));
  spend(std::max<int64_t>(end - first, 0) / 16);
  std::vector<Datum> numbers;
  for (int64_t i = first; i < end; ++i)
    numbers.emplace_back(Number::whole(i));
  return make_list(std::move(numbers));
}

std::vector<SubscriptValue> Lowering::subscripts(const std::vector<ast::Subscript> &written) {
  std::vector<SubscriptValue> values;
  const auto number = [&](const ast::ExprPtr &expr) -> std::optional<int64_t> {
    return expr ? std::optional(emit.whole_number(operand(*expr), "a slice's bound")) : std::nullopt;
  };
  for (const ast::Subscript &s : written) {
    SubscriptValue value{.kind = s.kind, .span = s.span};
    if (s.kind == ast::Subscript::Kind::index) {
      value.index = operand(*s.index);
    } else if (s.kind == ast::Subscript::Kind::slice) {
      value.start = number(s.start);
      value.stop = number(s.stop);
      value.step = number(s.step);
      if (value.step == 0)
        trace.fail(s.step->span, "the step of a slice must not be 0");
    }
    values.push_back(std::move(value));
  }
  return values;
}

} // namespace nnc

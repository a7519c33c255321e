// Assignment: `=` gives a value a name, `:=` gives a state its next value. Both unpack lists.
#include "frontend/lowering.h"

#include <fmt/format.h>

namespace nnc {

std::vector<Operand> Lowering::unpacked(const std::vector<ast::ExprPtr> &values, size_t targets, const Span &at) {
  std::vector<const ast::Expr *> exprs;
  for (const ast::ExprPtr &value : values)
    exprs.push_back(value.get());
  const std::vector<Operand> operands = this->operands(exprs);
  if (operands.size() == targets)
    return operands;
  if (operands.size() != 1)
    trace.fail(at, fmt::format("{} values for {} name{}", operands.size(), targets, targets == 1 ? "" : "s"));
  const auto *list = operands[0].datum.list();
  if (!list)
    trace.fail(operands[0].span, fmt::format("{} names for one value, {}", targets, kind_text(operands[0].datum)));
  if (list->size() != targets)
    trace.fail(operands[0].span, fmt::format("{} names for {} values", targets, list->size()));
  std::vector<Operand> items;
  for (const Datum &item : *list)
    items.push_back({item, operands[0].span});
  return items;
}

void Lowering::assign(const ast::Assign &assign) {
  const int since = nodes();
  const std::vector<Operand> values = unpacked(assign.values, assign.targets.size(), assign.op_span);
  for (size_t i = 0; i < values.size(); ++i)
    if (assign.to_state)
      assign_state(assign.targets[i], values[i], assign.op_span);
    else
      assign_name(assign.targets[i], values[i], since);
}

// `since`: how many nodes there were before the statement: those made since take the name.
void Lowering::assign_name(const ast::Target &target, const Operand &value, int since) {
  const std::string &name = target.name.text;
  Datum datum = value.datum;
  if (datum.is<Poison>())
    throw Poisoned{};
  if (!target.subscripts.empty()) {
    std::optional<Datum> whole = lookup_value(name);
    if (!whole)
      fail_unknown(name, target.name.span, "name");
    refuse_if_elementwise(*whole, "indexing", target.span);
    datum = emit.replaced({*whole, target.name.span}, subscripts(target.subscripts), value, target.span);
  }
  if (auto *tensor = datum.as<TensorRef>(); tensor && tensor->home == emit.draft && tensor->value.node >= since)
    emit.draft->name(tensor->value, name);
  bind(name, std::move(datum), target.span);
}

void Lowering::assign_state(const ast::Target &target, const Operand &given, const Span &op) {
  const std::string &name = target.name.text;
  auto local = frame_->names.find(name);
  int state = -1;
  if (local != frame_->names.end()) {
    if (local->second.datum.is<Poison>() && local->second.state < 0)
      throw Poisoned{};
    state = local->second.state;
    if (const auto *tensor = local->second.datum.as<TensorRef>(); tensor && state < 0) {
      state = tensor->state;
      if (state >= 0 && tensor->home != emit.draft && emit.draft->is_body())
        trace.fail(op, fmt::format("`{}` is the value of `{}` from before the loop; read it anew in the loop", name,
                                   states_[state].path));
      if (state >= 0 && !emit.draft->is_current(state, tensor->value))
        trace.fail(
            op, fmt::format("`{}` is an older value of `{}`, which was assigned since; read it anew", name, states_[state].path));
    }
  } else if (const ast::Decl *decl = names_.decl(name, frame_->source)) {
    state = file_state(*decl);
  } else {
    fail_unknown(name, target.name.span, "state");
  }
  if (state < 0)
    trace.fail(target.name.span, fmt::format("`{}` is no state: `:=` assigns params and states, `=` gives a value a name", name));
  using Kind = ast::Func::Kind;
  if (states_[state].trained && frame_->func->kind != Kind::entry && frame_->func->kind != Kind::optimizer)
    trace.fail(target.span, fmt::format("`{}` is a param: only entries and optimizers assign params", name));
  if (!frame_->elementwise.empty())
    trace.fail(target.span,
               fmt::format("`{}` is elementwise, as its parameters are scalars: it assigns nothing", frame_->elementwise));
  if (emit.draft == init_.get())
    trace.fail(target.span, "an initialiser assigns nothing");

  const Operand before{current(state), target.name.span};
  const Type &type = states_[state].type;
  TensorRef value;
  if (target.subscripts.empty()) {
    value = emit.tensor(given, type.dtype);
    if (is_compile_time(given.datum) && !given.datum.is<List>())
      value = emit.broadcast(value, type.shape, given.span);
    if (value.type != type) {
      Diagnostic &error =
          trace.error(op, fmt::format("`{}` is {}, what is assigned to it {}", name, type_text(type), type_text(value.type)));
      error.operand(target.span).operand(given.span);
      emit.note_sizes(error, value, type.shape);
      error.note(state_decls_[state]->head, "declared here");
      throw Poisoned{};
    }
  } else {
    value = emit.replaced(before, subscripts(target.subscripts), given, target.span);
  }
  emit.draft->set_state(state, value.value, trace.loc(target.span));
  if (local != frame_->names.end() && local->second.state < 0) {
    value.state = state;
    local->second.datum = value;
  }
}

} // namespace nnc

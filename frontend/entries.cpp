// One entry: its inputs, its body, and what it returns under which names.
#include "frontend/lowering.h"

#include <algorithm>
#include <fmt/format.h>

#include <set>

namespace nnc {

void Lowering::lower_entry(const ast::Func &entry) {
  Draft draft;
  Instance instance;
  instance.entry = true;
  Frame frame{.func = &entry, .source = entry.head.source, .instance = &instance, .training = has_update(entry.body)};
  Swap swap(*this, frame, &draft);
  draft.b.loc = trace.loc(entry.head);
  if (entry.name.text == "init")
    trace.error(entry.name.span, "`init` is the function that gives every state its first value; call the entry something else");
  poisoned_ = asked_training_ = counts_draws_ = too_large_ = false;
  bodies_ = 0;
  for (const ast::Parameter &parameter : entry.parameters)
    try {
      if (!parameter.type)
        trace.fail(parameter.span, fmt::format("an input of an entry is a tensor: `{}: {}`", parameter.name.text,
                                               parameter.kind == ast::Kind::boolean ? "bool[]" : "f32[…]"));
      if (parameter.default_value)
        trace.fail(parameter.default_value->span, "an input of an entry has no default");
      const Type type = type_of(*parameter.type);
      bind(parameter.name.text, emit.ref(draft.input(type, parameter.name.text, parameter.span)), parameter.span);
    } catch (const Poisoned &) {
      bind(parameter.name.text, Datum(), parameter.span);
      poisoned_ = true;
    }
  run_block(entry.body);
  if (poisoned_)
    return;
  try {
    make_outputs(entry);
    if (counts_draws_)
      count_draws();
    functions_.push_back(draft.finish(entry.name.text, entry.doc, trace.loc(entry.head), states_, state_names()));
  } catch (const Poisoned &) {
  }
}

// What the results that are in a list are called behind its name: params, states and derivatives by them after their paths, if
// all are such and none is there twice; else 0, 1, …
std::vector<std::string> Lowering::names_in(const std::vector<Datum> &list) const {
  std::vector<std::string> paths, numbers;
  for (const Datum &item : list) {
    const auto *tensor = item.as<TensorRef>();
    if (const int state = tensor ? std::max(tensor->slope, tensor->state) : -1; state >= 0) {
      paths.push_back(states_[state].path);
      std::replace(paths.back().begin(), paths.back().end(), '/', '_');
    }
    numbers.push_back(fmt::format("{}", numbers.size()));
  }
  const bool differ = std::set(paths.begin(), paths.end()).size() == list.size();
  return differ ? paths : numbers;
}

void Lowering::add_output(const std::string &name, const Operand &value) {
  if (const auto *list = value.datum.list()) {
    const std::vector<std::string> names = names_in(*list);
    for (size_t i = 0; i < list->size(); ++i)
      add_output(name + "_" + names[i], {(*list)[i], value.span});
    return;
  }
  spend(1 + static_cast<int64_t>(emit.draft->outputs().size()) / 16);
  for (const Result &other : emit.draft->outputs())
    if (other.name == name)
      trace.fail(value.span, fmt::format("two results are called `{}`; write `name = …` before one", name));
  if (auto input = frame_->func->parameters.begin(); true)
    for (; input != frame_->func->parameters.end(); ++input)
      if (input->name.text == name)
        trace.fail(value.span, fmt::format("the result `{}` has the name of an input; write `new_name = {}`", name, name));
  const TensorRef tensor = emit.tensor(value);
  if (!emit.draft->has_name(tensor.value))
    emit.draft->name(tensor.value, name);
  emit.draft->output(name, tensor.value, trace.loc(value.span));
}

void Lowering::make_outputs(const ast::Func &entry) {
  Frame &frame = *frame_;
  if (!entry.results.empty() && entry.results.size() != frame.results.size())
    trace.fail(frame.results.empty() ? entry.head : join(frame.results.front().span, frame.results.back().span),
               fmt::format("`{}` declares {} result{} and returns {}", entry.name.text, entry.results.size(),
                           entry.results.size() == 1 ? "" : "s", frame.results.size()),
               entry.head, "declared here");
  for (size_t i = 0; i < frame.results.size(); ++i) {
    Operand result = frame.results[i];
    if (!entry.results.empty())
      result = check_result(entry.results[i], result);
    add_output(frame.result_names[i], result);
  }
  if (emit.draft->outputs().empty() && !emit.draft->writes_state())
    trace.fail(entry.head, fmt::format("the entry `{}` returns nothing and assigns nothing", entry.name.text));
}

} // namespace nnc

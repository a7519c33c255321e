// Parameters and state: where they are declared, which path they are kept under, what they start with, and lists of them.
//
// The initial value of each is drafted in the function `init` when its declaration is first reached.
#include "frontend/lowering.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>

namespace nnc {

// ---- instances

Instance *Lowering::make_instance(const ast::Func &func, const Span &at, const std::optional<ast::Name> &as) {
  Instance &instance = instances_.emplace_back();
  instance.func = &func;
  instance.call = at;
  instance.as = as;
  if (func.kind == ast::Func::Kind::net) { // one network, wherever it is called
    if (const auto [net, is_new] = nets_.try_emplace(func.name.text, &func); !is_new && net->second != &func)
      trace.fail(at, fmt::format("two nets are called `{}`, and the paths of both would begin with it", func.name.text),
                 net->second->head, "the other one");
    instance.path = func.name.text;
    instance.resolved = true;
    return &instance;
  }
  instance.parent = frame_->instance;
  for (int64_t round : frame_->rounds)
    instance.counters += fmt::format("_{}", round);
  if (names_.owns(func)) // counted even if it happens to declare nothing this time
    number(instance);
  return &instance;
}

// Gives the instance its part of the path.
void Lowering::number(Instance &instance) {
  if (!instance.part.empty() || !instance.parent)
    return;
  const std::string &name = instance.func->name.text;
  instance.part =
      instance.as ? instance.as->text + instance.counters : fmt::format("{}_{}", name, instance.parent->calls[name]++);
  take_part(*instance.parent, instance.part, instance.as ? instance.as->span : instance.call);
}

void Lowering::take_part(Instance &instance, const std::string &part, const Span &at) {
  if (instance.entry)
    return; // an error is due, if anything is declared
  const auto [first, is_new] = instance.parts.try_emplace(part, at);
  if (!is_new)
    trace.fail(at, fmt::format("`{}` would name two things in one call of `{}`", part, instance.func->name.text), first->second,
               "first here");
}

const std::string &Lowering::resolve(Instance &instance) {
  if (instance.resolved)
    return instance.path;
  if (!instance.parent) {
    trace.error_in_caller(instance.call,
                          fmt::format("`{}` keeps parameters or state, which no const owns", instance.func->name.text));
    throw Poisoned{};
  }
  if (instance.parent->entry) {
    trace.error_at(instance.call, fmt::format("`{}` keeps parameters or state, and an entry owns nothing; call it in a `net`",
                                              instance.func->name.text));
    throw Poisoned{};
  }
  number(instance);
  instance.path = resolve(*instance.parent) + "/" + instance.part;
  instance.resolved = true;
  return instance.path;
}

// ---- declarations

void Lowering::declare(const ast::Decl &decl) {
  const ast::Func &func = *frame_->func;
  const std::string_view word = ast::spelling(decl.kind);
  if (func.kind == ast::Func::Kind::entry)
    trace.fail(decl.head, fmt::format("an entry owns nothing: declare `{} {}` at file level or in a net", word, decl.name.text));
  if (func.kind == ast::Func::Kind::optimizer && decl.kind == ast::Decl::Kind::param)
    trace.fail(decl.head, "an optimizer keeps `state`, not parameters");
  if (!frame_->elementwise.empty())
    trace.fail(decl.head,
               fmt::format("`{}` is elementwise, as its parameters are scalars: it keeps no {}", frame_->elementwise, word));
  if (emit.draft == init_.get())
    trace.fail(decl.head, "an initialiser keeps nothing");
  const std::string path = resolve(*frame_->instance) + "/" + decl.name.text;
  take_part(*frame_->instance, decl.name.text, decl.head);
  bind(decl.name.text, Datum(), decl.head, declare_at(decl, path));
}

int Lowering::file_state(const ast::Decl &decl) {
  if (auto known = state_index_.find(decl.name.text); known != state_index_.end()) {
    if (const ast::Decl &other = *state_decls_[known->second]; &other != &decl)
      trace.fail(decl.head, fmt::format("`{}` is declared in two files", decl.name.text), other.head, "the other one");
    return known->second;
  }
  const auto [progress, is_new] = declaring_.try_emplace(&decl, true);
  if (!is_new) {
    if (progress->second)
      trace.fail(decl.head, fmt::format("`{}` starts from itself", decl.name.text));
    throw Poisoned{};
  }
  Frame frame{.source = decl.head.source};
  Swap swap(*this, frame, emit.draft);
  try {
    return declare_at(decl, decl.name.text);
  } catch (...) {
    declaring_[&decl] = false;
    throw;
  }
}

int Lowering::declare_at(const ast::Decl &decl, const std::string &path) {
  std::optional<Type> type;
  if (decl.type)
    type = type_of(*decl.type);
  if (auto known = state_index_.find(path); known != state_index_.end()) {
    const State &state = states_[known->second];
    if (!state_decls_[known->second]->head)
      fail_reserved(decl, path);
    if (type && state.type != *type) {
      trace.fail(decl.head,
                 fmt::format("`{}` is {} here and was {} in an earlier call", path, type_text(*type), type_text(state.type)),
                 state_decls_[known->second]->head, "one path is one tensor");
    }
    return known->second;
  }
  const bool trained = decl.kind == ast::Decl::Kind::param;
  const Value initial = initial_value(decl, type, path);
  type = init_->b.type(initial);
  if (trained && !is_float(type->dtype))
    trace.fail(decl.head,
               fmt::format("`param {}` is {}: only floats can be trained; declare a `state`", decl.name.text, type_text(*type)));
  const int index = static_cast<int>(states_.size());
  states_.push_back({path, *type, trained});
  state_decls_.push_back(&decl);
  initial_.push_back(initial);
  state_index_[path] = index;
  return index;
}

Value Lowering::initial_value(const ast::Decl &decl, const std::optional<Type> &type, const std::string &path) {
  // An initialiser computes; what is for storage is narrowed at the end.
  const std::optional<Type> computed = type ? std::optional(Type{wide_dtype(type->dtype), type->shape}) : type;
  const std::optional<Type> outer = std::exchange(frame_->declared, computed);
  const std::string outer_path = std::exchange(drawing_path_, path);
  const int outer_draws = std::exchange(draws_, 0);
  Swap swap(*this, *frame_, init_.get());
  struct Restore {
    std::function<void()> run;
    ~Restore() { run(); }
  } restore{[&] {
    frame_->declared = outer;
    drawing_path_ = outer_path;
    draws_ = outer_draws;
  }};
  const Operand value = operand(*decl.initialiser);
  TensorRef tensor = emit.tensor(value, type ? std::optional(type->dtype) : std::nullopt);
  if (!type)
    return tensor.value;
  if (is_compile_time(value.datum) && !value.datum.is<List>())
    tensor = emit.broadcast(tensor, type->shape, value.span);
  if (tensor.type.dtype == computed->dtype)
    tensor = emit.converted(tensor, type->dtype, value.span);
  if (tensor.type != *type) {
    Diagnostic &error = trace.error(
        value.span, fmt::format("`{}` is {}, its initialiser {}", decl.name.text, type_text(*type), type_text(tensor.type)));
    emit.note_sizes(error, tensor, type->shape);
    error.note(decl.head, "declared here");
    throw Poisoned{};
  }
  return tensor.value;
}

Datum Lowering::current(int state) {
  if (emit.draft == init_.get())
    return TensorRef{*initial_[state], states_[state].type, init_.get(), state};
  assert(emit.draft && "a state has no value at compile time");
  return TensorRef{emit.draft->state(state, states_[state], state_decls_[state]->head), states_[state].type, emit.draft, state};
}

// ---- lists of them

std::vector<int> Lowering::matching(const std::vector<std::string> &patterns, bool trained, size_t known) const {
  std::vector<int> found;
  for (size_t i = 0; i < known; ++i)
    if (states_[i].trained == trained && std::any_of(patterns.begin(), patterns.end(), [&](const std::string &pattern) {
          return path_matches(pattern, states_[i].path);
        }))
      found.push_back(static_cast<int>(i));
  return found;
}

std::vector<int> Lowering::reached_states(const TensorRef &tensor, bool trained, std::map<int, TensorRef> &values) const {
  std::vector<int> found;
  std::vector<bool> seen(emit.draft->size());
  std::vector<Value> left = {tensor.value};
  while (!left.empty()) {
    const Value value = left.back();
    left.pop_back();
    if (seen[value.node])
      continue;
    seen[value.node] = true;
    const Node &node = emit.draft->node(value);
    if (!is_float(node.types[value.index].dtype) || node.op == Op::stop_gradient)
      continue;
    if (const int state = emit.draft->state_of(value); state >= 0 && states_[state].trained == trained) {
      found.push_back(state);
      TensorRef &newest = values[state];
      if (!newest.value || newest.value < value)
        newest = {value, states_[state].type, emit.draft, state};
      continue;
    }
    left.insert(left.end(), node.operands.begin(), node.operands.end());
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

Datum Lowering::list_states(const std::vector<Operand> &what, bool trained, const Span &at) {
  const std::string_view word = trained ? "params" : "states";
  if (what.empty())
    trace.fail(at, fmt::format("`{}` needs a net, a tensor, or a pattern as in {}(\"mlp/**\")", word, word));
  Query query{.patterns = {}, .trained = trained, .at = at};
  std::vector<int> found;
  std::map<int, TensorRef> values; // for those reached from a tensor, the value it was reached by
  for (const Operand &operand : what) {
    if (const auto *function = operand.datum.as<FunctionRef>()) {
      if (!function->func || function->grads || function->func->kind != ast::Func::Kind::net)
        trace.fail(operand.span,
                   fmt::format("only a net has {} of its own; list those of the net that calls this function", word));
      query.patterns.push_back(function->func->name.text + "/**");
    } else if (const auto *pattern = operand.datum.as<std::string>()) {
      query.patterns.insert(query.patterns.begin() + static_cast<ptrdiff_t>(query.written++), *pattern);
    } else if (operand.datum.is<TensorRef>()) {
      const std::vector<int> reached = reached_states(emit.tensor(operand), trained, values);
      found.insert(found.end(), reached.begin(), reached.end());
    } else {
      trace.fail(operand.span, fmt::format("`{}` takes nets, tensors and patterns, not {}", word, kind_text(operand.datum)));
    }
  }
  if (!query.patterns.empty()) {
    if (known_states_)
      query.answer = matching(query.patterns, trained, *known_states_);
    queries_.push_back(query);
    if (query.answer.empty())
      throw Poisoned{}; // the next pass may know
    found.insert(found.end(), query.answer.begin(), query.answer.end());
  }
  std::sort(found.begin(), found.end(), [&](int a, int b) { return path_before(states_[a].path, states_[b].path); });
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<Datum> items;
  for (int state : found)
    items.push_back(values.count(state) ? Datum(values[state]) : current(state));
  return make_list(std::move(items));
}

// A pattern that finds nothing is a mistake, also beside others that do.
void Lowering::report_unmatched(const Query &query) {
  const std::string_view word = query.trained ? "params" : "states";
  const auto none = [&](const std::string &pattern) { return matching({pattern}, query.trained, states_.size()).empty(); };
  for (size_t i = 0; i < query.written; ++i)
    if (const std::string &pattern = query.patterns[i]; none(pattern)) {
      std::string deeper;
      for (char c : pattern)
        deeper += c == '*' ? "**" : std::string(1, c);
      trace.error_at(query.at, fmt::format("there are no {} `{}`{}", word, pattern,
                                           none(deeper) ? "" : fmt::format(": `*` stops at `/`, and `{}` does not", deeper)));
    }
  if (query.answer.empty() && query.written == 0)
    trace.error_at(query.at, fmt::format("there are no {} here", word));
}

std::vector<std::string> Lowering::state_names() const {
  std::vector<std::string> paths;
  for (const State &state : states_)
    paths.push_back(state.path);
  return short_names(paths);
}

} // namespace nnc

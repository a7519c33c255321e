// Calls: of functions written in .nn, of builtins, of dtypes (casts), and of derivatives.
#include "frontend/foreign.h"
#include "frontend/lowering.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {

// "x, axis", of "x, axis?".
std::string without_marks(std::string parameters) {
  std::erase(parameters, '?');
  return parameters;
}

// The names in "x, axis?".
std::vector<std::string_view> parameter_names(std::string_view parameters) {
  std::vector<std::string_view> names;
  while (!parameters.empty()) {
    const size_t comma = std::min(parameters.find(','), parameters.size());
    names.push_back(parameters.substr(0, comma));
    parameters.remove_prefix(std::min(comma + 2, parameters.size()));
  }
  return names;
}

std::vector<std::string> plain_names(const std::vector<std::string_view> &names) {
  std::vector<std::string> plain;
  for (const std::string_view name : names)
    plain.emplace_back(name.substr(0, name.find('?')));
  return plain;
}

} // namespace

bool is_elementwise(const ast::Func &func) {
  bool any = false;
  for (const ast::Parameter &parameter : func.parameters) {
    if (parameter.type && !parameter.type->sizes.empty())
      return false;
    any = any || parameter.type;
  }
  return any && func.kind == ast::Func::Kind::fn;
}

Datum Lowering::eval_call(const ast::Call &call, const Span &span) {
  std::optional<FunctionRef> function;
  std::optional<DType> dtype;
  if (auto *ref = call.callee->as<ast::Ref>()) {
    // In f(…) the name is looked up among functions: a tensor `mean` does not hide `mean(x)`.
    if (auto local = frame_->names.find(ref->name); local != frame_->names.end()) {
      if (local->second.datum.is<Poison>() && local->second.state < 0)
        throw Poisoned{};
      if (const auto *value = local->second.datum.as<FunctionRef>())
        function = *value;
      else if (const auto *value = local->second.datum.as<DType>())
        dtype = *value;
    }
    if (!function && !dtype)
      dtype = dtype_from_name(ref->name);
    if (!function && !dtype)
      function = lookup_function(ref->name);
    if (!function && !dtype) {
      const std::optional<Datum> value = lookup_value(ref->name);
      if (!value)
        fail_unknown(ref->name, call.callee->span, "function");
      if (!value->is<DType>())
        trace.fail(call.callee->span, fmt::format("`{}` is {}, and only functions can be called", ref->name, kind_text(*value)));
      dtype = *value->as<DType>();
    }
  } else {
    const Datum callee = eval(*call.callee);
    if (!callee.is<FunctionRef>())
      trace.fail(call.callee->span, fmt::format("only functions can be called, not {}", kind_text(callee)));
    function = *callee.as<FunctionRef>();
  }

  std::vector<Argument> arguments = evaluated(call.args);
  std::optional<bool> training;
  const auto is_training = [](const Argument &argument) { return argument.name && argument.name->text == "training"; };
  if (auto mode = std::find_if(arguments.begin(), arguments.end(), is_training); mode != arguments.end()) {
    if (!mode->value.datum.is<bool>())
      trace.fail(mode->value.span,
                 fmt::format("`training` must be true or false, known at compile time, not {}", kind_text(mode->value.datum)));
    training = *mode->value.datum.as<bool>();
    arguments.erase(mode);
  }
  if (call.as && (dtype || !function->func || function->grads))
    trace.fail(call.as->span, "this call owns no parameters: `as` has nothing to name");
  if (dtype) {
    if (arguments.size() != 1)
      trace.fail(span, fmt::format("`{}` takes 1 argument, not {}", dtype_name(*dtype), arguments.size()));
    if (const std::optional<ast::Name> &name = arguments[0].name)
      trace.fail(name->span, fmt::format("`{}` has no parameter `{}`", dtype_name(*dtype), name->text));
    return emit.cast(arguments[0].value, *dtype, span);
  }
  if (function->func && !function->grads)
    return call_func(*function->func, std::move(arguments), span, call.as, training);
  return this->call(*function, std::move(arguments), span);
}

std::vector<Argument> Lowering::evaluated(const std::vector<ast::Arg> &args) {
  std::vector<const ast::Expr *> exprs;
  for (const ast::Arg &arg : args)
    exprs.push_back(arg.value.get());
  const std::vector<Operand> values = operands(exprs);
  std::vector<Argument> arguments;
  for (size_t i = 0; i < args.size(); ++i)
    arguments.push_back({args[i].name, values[i]});
  return arguments;
}

Datum Lowering::call(const FunctionRef &function, std::vector<Argument> arguments, const Span &at) {
  if (function.grads)
    return call_gradient(function, std::move(arguments), at);
  if (function.builtin)
    return call_builtin(*function.builtin, std::move(arguments), at);
  return call_func(*function.func, std::move(arguments), at, std::nullopt, std::nullopt);
}

Datum Lowering::call_builtin(const Builtin &builtin, std::vector<Argument> arguments, const Span &at) {
  BuiltinCall call{.lowering = *this, .builtin = builtin, .arguments = {}, .rest = {}, .at = at};
  std::vector<std::string_view> names = parameter_names(builtin.parameters);
  const bool takes_rest = names == std::vector<std::string_view>{"..."};
  if (takes_rest)
    names.clear();
  call.arguments.resize(names.size());
  // The library may ask for a shape in an elementwise function: a loss wants the same of both tensors.
  const bool anywhere = builtin.elementwise || (builtin.name == "shape" && trace.in_library(at));
  size_t position = 0;
  for (Argument &argument : arguments) {
    spend(argument.value.datum.size() / 4); // it may walk through a list
    size_t i = position;
    if (argument.name) {
      const auto named = [&](std::string_view name) { return name.substr(0, name.find('?')) == argument.name->text; };
      i = std::find_if(names.begin(), names.end(), named) - names.begin();
      if (i == names.size())
        trace.fail(argument.name->span, fmt::format("`{}` has no parameter `{}`{}", builtin.name, argument.name->text,
                                                    parameters_text(argument.name->text, plain_names(names))));
    } else if (takes_rest) {
      if (!anywhere)
        refuse_if_elementwise(argument.value.datum, fmt::format("`{}`", builtin.name), at);
      call.rest.push_back(std::move(argument.value));
      continue;
    } else if (position++ == names.size()) {
      trace.fail(at, fmt::format("`{}` takes {} argument{}, not {}: `{}({})`", builtin.name, names.size(),
                                 names.size() == 1 ? "" : "s", arguments.size(), builtin.name,
                                 without_marks(std::string(builtin.parameters))));
    }
    if (call.arguments[i])
      trace.fail(argument.value.span, fmt::format("`{}` is given twice", names[i].substr(0, names[i].find('?'))));
    call.arguments[i] = std::move(argument.value);
  }
  for (size_t i = 0; i < names.size(); ++i)
    if (!call.arguments[i]) {
      if (names[i].back() != '?')
        trace.fail(at, fmt::format("`{}` needs `{}`", builtin.name, names[i]));
    } else if (!anywhere) {
      refuse_if_elementwise(call.arguments[i]->datum, fmt::format("`{}`", builtin.name), at);
    }
  return builtin.call(call);
}

Datum Lowering::call_func(const ast::Func &func, std::vector<Argument> arguments, const Span &at,
                          const std::optional<ast::Name> &as, std::optional<bool> training) {
  using Kind = ast::Func::Kind;
  const std::string &name = func.name.text;
  if (func.kind == Kind::entry || func.kind == Kind::optimizer)
    trace.fail(at, func.kind == Kind::entry ? fmt::format("`{}` is an entry: it is called from outside only", name)
                                            : fmt::format("`{}` is an optimizer: write `update {}(…)`", name, name));
  if (std::find(active_.begin(), active_.end(), &func) != active_.end())
    trace.fail(at, fmt::format("`{}` calls itself: there is no recursion", name), func.name.span, "declared here");
  if (func.kind == Kind::net && as)
    trace.fail(as->span, fmt::format("`{}` is a net, whose parameters have one place: `as` has nothing to name", name));

  const Nesting nesting(*this, at);
  Frame callee{.func = &func,
               .source = func.head.source,
               .instance = make_instance(func, at, as),
               .training = training.value_or(frame_->training),
               .mode_given = training || frame_->mode_given,
               .elementwise = frame_->elementwise,
               .site = next_site(name)};
  const Trace::Entered entered(trace, name, at);
  spend(4 * trace.depth()); // the path to here is kept with the operations
  if (is_elementwise(func) && callee.elementwise.empty())
    callee.elementwise = name;
  active_.push_back(&func);
  struct Leave {
    std::vector<const ast::Func *> &active;
    ~Leave() { active.pop_back(); }
  } leave{active_};
  bind_parameters(func, std::move(arguments), at, callee);

  std::optional<Shape> joint; // of an elementwise function's tensors
  if (is_elementwise(func)) {
    std::vector<TensorRef> tensors;
    std::vector<Span> spans;
    for (const ast::Parameter &parameter : func.parameters)
      if (const auto *tensor = callee.names[parameter.name.text].datum.as<TensorRef>()) {
        tensors.push_back(*tensor);
        spans.push_back(callee.names[parameter.name.text].at);
      }
    if (!tensors.empty())
      joint = emit.joint_shape(tensors, spans, at);
  }

  Swap swap(*this, callee, emit.draft);
  const bool was_poisoned = std::exchange(poisoned_, false);
  run_block(func.body);
  const bool failed = std::exchange(poisoned_, was_poisoned || poisoned_) && !callee.has_results;
  if (failed)
    throw Poisoned{};
  if (!callee.has_results)
    trace.fail_in_caller(at, fmt::format("`{}` returns nothing", name), func.head);
  if (as && !callee.instance->resolved && !names_.owns(func))
    trace.fail_in_caller(as->span, fmt::format("`{}` owns no parameters: `as` has nothing to name", name), func.head);
  return check_results(func, callee, joint, at);
}

// grad(f)(x, …) is the derivative of f(x, …) by x; element by element if f is elementwise, for then the sum over all elements
// has the same derivatives.
Datum Lowering::call_gradient(FunctionRef function, std::vector<Argument> arguments, const Span &at) {
  --function.grads;
  const bool elementwise = function.builtin ? function.builtin->elementwise : is_elementwise(*function.func);
  if (arguments.empty() || arguments[0].name)
    trace.fail(at, "the derivative of a function needs what to derive by as its first argument");
  TensorRef x = emit.tensor(arguments[0].value);
  std::vector<TensorRef> tensors = {x};
  std::vector<Span> spans = {arguments[0].value.span};
  for (size_t i = 1; i < arguments.size(); ++i)
    if (const auto *tensor = arguments[i].value.datum.as<TensorRef>()) {
      tensors.push_back(*tensor);
      spans.push_back(arguments[i].value.span);
    }
  if (elementwise)
    x = emit.broadcast(x, emit.joint_shape(tensors, spans, at), at);
  // The other arguments may be computed from x, but this is the derivative by the first alone: so it gets a value of its own.
  if (tensors.size() > 1 || emit.draft->splat(x.value))
    x = emit.ref(emit.at(at).op(Op::reshape, {x.value}, {.shape = x.type.shape}));
  arguments[0].value.datum = x;

  Operand y{call(function, std::move(arguments), at), at};
  if (const auto *tensor = y.datum.as<TensorRef>(); tensor && elementwise) {
    Shape axes;
    for (int64_t i = 0; i < tensor->type.rank(); ++i)
      axes.push_back(i);
    y.datum = emit.reduce(Op::sum, y, axes, false, at);
  }
  return gradient(y, {x, at}, at);
}

} // namespace nnc

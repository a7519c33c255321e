// Signatures: arguments meet parameters, capitalised names are bound by the call, and results are checked.
#include "frontend/foreign.h"
#include "frontend/lowering.h"
#include "ir/error.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <iterator>

namespace nnc {

namespace {

bool is_capital(const std::string &name) { return !name.empty() && name[0] >= 'A' && name[0] <= 'Z'; }

// The name a size consists of, if it stands alone.
const std::string *lone_name(const ast::Expr &size) {
  auto *ref = size.as<ast::Ref>();
  return ref ? &ref->name : nullptr;
}

bool is_ellipsis(const ast::Expr &size) { return size.as<ast::Ellipsis>(); }

std::vector<std::string> parameter_names(const ast::Func &func) {
  std::vector<std::string> names;
  for (const ast::Parameter &parameter : func.parameters)
    names.push_back(parameter.name.text);
  if (func.kind == ast::Func::Kind::optimizer) // `update` gives the parameter and its gradient
    names.erase(names.begin(), names.begin() + std::min<ptrdiff_t>(2, std::ssize(names)));
  return names;
}

std::string given(const Operand &argument) {
  const std::string text = operand_text(argument.span);
  return fmt::format("{} is {}", text.empty() ? "the argument" : text, kind_text(argument.datum));
}

} // namespace

void Lowering::bind_parameters(const ast::Func &func, std::vector<Argument> arguments, const Span &at, Frame &callee) {
  std::vector<std::optional<Operand>> values(func.parameters.size());
  size_t position = 0;
  for (Argument &argument : arguments) {
    size_t i = position;
    if (argument.name) {
      const auto named = [&](const ast::Parameter &p) { return p.name.text == argument.name->text; };
      i = std::find_if(func.parameters.begin(), func.parameters.end(), named) - func.parameters.begin();
      if (i == values.size())
        trace.fail_in_caller(argument.name->span,
                             fmt::format("`{}` has no parameter `{}`{}", func.name.text, argument.name->text,
                                         parameters_text(argument.name->text, parameter_names(func))),
                             func.head);
    } else if (position++ >= values.size()) {
      trace.fail_in_caller(at,
                           fmt::format("`{}` takes {} argument{}, not {}: `{}({})`", func.name.text, values.size(),
                                       values.size() == 1 ? "" : "s", arguments.size(), func.name.text,
                                       fmt::join(parameter_names(func), ", ")),
                           func.head);
    }
    if (values[i])
      trace.fail_in_caller(argument.value.span, fmt::format("`{}` is given twice", func.parameters[i].name.text), func.head);
    values[i] = std::move(argument.value);
  }

  const std::optional<Type> declared = frame_->declared;
  const bool elementwise = is_elementwise(func);
  Swap swap(*this, callee, emit.draft); // types and defaults are read with what is bound so far
  for (size_t i = 0; i < values.size(); ++i) {
    const ast::Parameter &parameter = func.parameters[i];
    std::optional<Operand> &value = values[i];
    if (!value && declared && parameter.kind == ast::Kind::shape)
      value = Operand{make_list(declared->shape), at};
    if (!value && declared && parameter.name.text == "dtype")
      value = Operand{declared->dtype, at};
    if (!value && parameter.default_value)
      value = operand(*parameter.default_value);
    if (!value)
      trace.fail_in_caller(at, fmt::format("`{}` needs `{}`", func.name.text, parameter.name.text), parameter.span);
    Datum datum = value->datum;
    if (datum.is<Poison>())
      throw Poisoned{};
    if (parameter.type)
      datum = bind_typed(parameter, *value, callee, elementwise);
    else if (parameter.kind)
      datum = check_kind(parameter, *value);
    bind(parameter.name.text, std::move(datum), value->span);
  }
  if (elementwise) // a dtype that only numbers met
    for (const ast::Parameter &parameter : func.parameters)
      if (parameter.type && is_bound_here(parameter.type->dtype.text))
        bind(parameter.type->dtype.text, DType::f32, at);
}

Datum Lowering::check_kind(const ast::Parameter &parameter, const Operand &argument) {
  const Datum &datum = argument.datum;
  const auto need = [&](bool fits, std::string_view what) {
    if (!fits)
      trace.fail_in_caller(argument.span,
                           fmt::format("`{}` must be {}, known at compile time; {}", parameter.name.text, what, given(argument)),
                           parameter.span);
  };
  switch (*parameter.kind) {
  case ast::Kind::integer:
    need(datum.is<Number>(), "a whole number");
    break;
  case ast::Kind::boolean:
    need(datum.is<bool>(), "true or false");
    break;
  case ast::Kind::string:
    need(datum.is<std::string>(), "a string");
    break;
  case ast::Kind::function:
    need(datum.is<FunctionRef>(), "a function");
    break;
  case ast::Kind::shape:
    need(datum.is<List>(), "a list of sizes, as `[2, 3]`");
    break;
  case ast::Kind::list:
    need(datum.is<List>(), "a list");
    break;
  }
  if (parameter.kind == ast::Kind::integer)
    emit.whole_number(argument, fmt::format("`{}`", parameter.name.text));
  if (parameter.kind == ast::Kind::shape)
    for (int64_t size : emit.whole_numbers(argument, "a size"))
      if (size < 1)
        trace.fail_in_caller(argument.span, fmt::format("a size must be at least 1, not {}", size), parameter.span);
  return argument.datum;
}

std::optional<DType> Lowering::dtype_named(const ast::Name &name) {
  if (std::optional<DType> dtype = dtype_from_name(name.text))
    return dtype;
  auto bound = frame_->names.find(name.text);
  if (bound != frame_->names.end()) {
    if (bound->second.datum.is<Poison>())
      throw Poisoned{};
    if (const auto *dtype = bound->second.datum.as<DType>())
      return *dtype;
  }
  if (const ast::Const *item = names_.constant(name.text, frame_->source)) {
    const Datum value = constant(*item);
    if (const auto *dtype = value.as<DType>())
      return *dtype;
  }
  return std::nullopt;
}

// Is it for this call to give the name a value? A capitalised one has none before, though a const may be called the same.
bool Lowering::is_bound_here(const std::string &name) const { return is_capital(name) && !frame_->names.count(name); }

// Runs in the callee's frame. Errors are the caller's.
Datum Lowering::bind_typed(const ast::Parameter &parameter, const Operand &argument, Frame &callee, bool elementwise) {
  const ast::TypeExpr &type = *parameter.type;
  const auto fail = [&](const std::string &message) { trace.fail_in_caller(argument.span, message, parameter.span); };
  std::optional<DType> dtype;
  if (!is_bound_here(type.dtype.text)) {
    dtype = dtype_named(type.dtype);
    if (!dtype)
      fail_unknown(type.dtype.text, type.dtype.span, "dtype");
  }
  if (argument.datum.is<std::string>() || argument.datum.is<FunctionRef>() || argument.datum.is<DType>())
    fail(fmt::format("`{}` is a tensor, {}", parameter.name.text, given(argument)));

  const auto *tensor = argument.datum.as<TensorRef>();
  if (!tensor && elementwise && !argument.datum.is<List>()) { // a number stays one, and meets what it meets in the body
    const auto *number = argument.datum.as<Number>();
    if (dtype && (number ? !holds(*dtype, *number) : !is_bool(*dtype)))
      fail(fmt::format("`{}` is {}, {}", parameter.name.text, dtype_name(*dtype), given(argument)));
    return argument.datum;
  }
  const TensorRef value = emit.tensor(argument, dtype);
  if (dtype && value.type.dtype != *dtype) {
    const bool bound = frame_->names.count(type.dtype.text);
    fail(bound ? fmt::format("`{}` is {} by an earlier argument, {}", type.dtype.text, dtype_name(*dtype), given(argument))
               : fmt::format("`{}` must be {}, {}", parameter.name.text, dtype_name(*dtype), given(argument)));
  }
  if (!dtype)
    bind(type.dtype.text, value.type.dtype, argument.span);
  if (!elementwise)
    match_sizes(type, value, argument, parameter.span, callee);
  return value;
}

void Lowering::match_sizes(const ast::TypeExpr &type, const TensorRef &tensor, const Operand &argument, const Span &parameter,
                           Frame &callee) {
  const Shape &shape = tensor.type.shape;
  const auto dots = std::find_if(type.sizes.begin(), type.sizes.end(), [](const auto &size) { return is_ellipsis(*size); });
  const bool has_dots = dots != type.sizes.end();
  const size_t named = type.sizes.size() - has_dots;
  const Operand shown{tensor, argument.span};
  const auto fail = [&](const std::string &message, std::optional<int64_t> axis = std::nullopt) {
    Diagnostic &error = trace.error_in_caller(argument.span, message);
    if (axis)
      emit.note_size(error, tensor, *axis);
    error.note(parameter, "declared here");
    throw Poisoned{};
  };
  if (argument.datum.is<Number>() && named > 0)
    fail(fmt::format("`{}` is a tensor, {}; a layer is called with what goes into it, as in `{}({}, …)`", parameter.text(),
                     given(argument), callee.func->name.text, callee.func->parameters[0].name.text));
  if (has_dots ? shape.size() < named : shape.size() != named)
    fail(fmt::format("{}, but must have {}{} ax{}: `{}`", given(shown), has_dots ? "at least " : "", named,
                     named == 1 ? "is" : "es", parameter.text()));

  size_t axis = 0;
  for (const ast::ExprPtr &size : type.sizes) {
    if (is_ellipsis(*size)) {
      const Shape leading(shape.begin() + static_cast<int64_t>(axis), shape.end() - static_cast<int64_t>(named - axis));
      if (callee.leading && *callee.leading != leading)
        fail(fmt::format("{}: `...` stands for {} here and for {} in an earlier argument", given(shown), shape_text(leading),
                         shape_text(*callee.leading)));
      callee.leading = leading;
      axis += leading.size();
      continue;
    }
    const std::string *name = lone_name(*size);
    if (name && is_bound_here(*name)) {
      bind(*name, static_cast<double>(shape[axis]), argument.span);
    } else {
      if (name && !lookup_value(*name))
        trace.fail(size->span, fmt::format("unknown size `{}`; a size that the call binds begins with a capital letter", *name));
      const int64_t expected = emit.whole_number(operand(*size), "a size");
      if (shape[axis] != expected) {
        const std::string text(size->span.text());
        const bool literal = size->as<ast::Number>();
        fail(fmt::format("{}, but axis {} must be {}: `{}`", given(shown), axis,
                         literal ? text : fmt::format("{} = {}", text, expected), parameter.text()),
             static_cast<int64_t>(axis));
      }
    }
    ++axis;
  }
}

Type Lowering::type_of(const ast::TypeExpr &type) {
  const std::optional<DType> dtype = dtype_named(type.dtype);
  if (!dtype)
    fail_unknown(type.dtype.text, type.dtype.span, "dtype");
  Shape shape;
  for (const ast::ExprPtr &size : type.sizes) {
    if (is_ellipsis(*size)) {
      if (!frame_->leading)
        trace.fail(size->span, frame_->func && frame_->func->kind == ast::Func::Kind::entry
                                   ? "the sizes of an entry are numbers: `...` stands for none here"
                                   : "`...` has no value: no parameter of this function has `...` in its type");
      shape.insert(shape.end(), frame_->leading->begin(), frame_->leading->end());
      continue;
    }
    shape.push_back(emit.whole_number(operand(*size), "a size"));
    if (shape.back() < 1)
      trace.fail(size->span, fmt::format("a size must be at least 1, not {}", shape.back()));
  }
  try {
    return checked_type(*dtype, std::move(shape));
  } catch (const Error &error) {
    trace.fail(type.span, error.what());
  }
}

// Runs in the callee's frame.
Operand Lowering::check_result(const ast::TypeExpr &type, const Operand &result) {
  const Type expected = type_of(type);
  TensorRef tensor = emit.tensor(result, expected.dtype);
  const bool number = is_compile_time(result.datum) && !result.datum.is<List>();
  if (number)
    tensor = emit.broadcast(tensor, expected.shape, result.span);
  if (tensor.type != expected) {
    Diagnostic &error = trace.error(
        result.span, fmt::format("the result is {}, declared {}{}", type_text(tensor.type), type_text(expected),
                                 type.span.text() == type_text(expected) ? "" : fmt::format(" by `{}`", type.span.text())));
    emit.note_sizes(error, tensor, expected.shape);
    error.note(type.span, "declared here");
    throw Poisoned{};
  }
  return {tensor, result.span};
}

Datum Lowering::check_results(const ast::Func &func, const Frame &callee, const std::optional<Shape> &joint, const Span &at) {
  const bool elementwise = is_elementwise(func);
  std::vector<Datum> results;
  if (!func.results.empty() && func.results.size() != callee.results.size())
    trace.fail(join(callee.results.front().span, callee.results.back().span),
               fmt::format("`{}` declares {} result{} and returns {}", func.name.text, func.results.size(),
                           func.results.size() == 1 ? "" : "s", callee.results.size()),
               func.head, "declared here");
  for (size_t i = 0; i < callee.results.size(); ++i) {
    Operand result = callee.results[i];
    if (elementwise) {
      if (!func.results.empty())
        result = check_element(func.results[i], result, joint);
      if (const auto *tensor = result.datum.as<TensorRef>(); joint && tensor) { // the shape of all arguments together
        if (broadcast_shapes(tensor->type.shape, *joint) != joint)
          trace.fail(result.span, fmt::format("`{}` is elementwise: its result is {}, of arguments that are {}", func.name.text,
                                              shape_text(tensor->type.shape), shape_text(*joint)));
        result.datum = emit.broadcast(emit.tensor(result), *joint, at);
      }
    } else if (!func.results.empty()) {
      result = check_result(func.results[i], result);
    }
    results.push_back(result.datum);
  }
  return results.size() == 1 ? results[0] : make_list(std::move(results));
}

// The result of an elementwise function: only its dtype is declared. Of numbers it may be a number.
Operand Lowering::check_element(const ast::TypeExpr &type, const Operand &result, const std::optional<Shape> &joint) {
  if (!type.sizes.empty())
    trace.fail(type.span, "the result of an elementwise function is a scalar, as its parameters are");
  const std::optional<DType> dtype = dtype_named(type.dtype);
  if (!dtype)
    fail_unknown(type.dtype.text, type.dtype.span, "dtype");
  if (!joint && is_compile_time(result.datum))
    return result;
  const TensorRef tensor = emit.tensor(result, *dtype);
  if (tensor.type.dtype != *dtype)
    trace.fail(result.span, fmt::format("the result is {}, declared {}", dtype_name(tensor.type.dtype), dtype_name(*dtype)),
               type.span, "declared here");
  return {tensor, result.span};
}

} // namespace nnc

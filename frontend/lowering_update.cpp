// `update` and `grad`: derivatives are requests to the pass `grad`, optimisers run once for every parameter.
#include "frontend/lowering.h"

#include <fmt/format.h>

namespace nnc {

namespace {

std::vector<Operand> items(const Operand &operand) {
  std::vector<Operand> all;
  if (const auto *list = operand.datum.list())
    for (const Datum &item : *list)
      all.push_back({item, operand.span});
  else
    all.push_back(operand);
  return all;
}

} // namespace

Datum Lowering::gradient(const Operand &y, const Operand &xs, const Span &at) {
  std::vector<TensorRef> by;
  for (const Operand &x : items(xs)) {
    if (x.datum.is<Poison>())
      throw Poisoned{};
    if (!x.datum.is<TensorRef>())
      trace.fail(x.span, fmt::format("a derivative is by a tensor, not by {}{}", kind_text(x.datum),
                                     x.datum.is<FunctionRef>() ? "; the parameters of a net are params(net)" : ""));
    by.push_back(emit.tensor(x));
    if (!is_float(by.back().type.dtype))
      trace.fail(x.span,
                 fmt::format("nothing flows through whole numbers and bools: no derivative by {}", type_text(by.back().type)));
  }
  Builder &b = emit.at(at);
  const bool list = xs.datum.is<List>();
  std::vector<Datum> results;
  if (y.datum.is<Number>()) { // a constant
    for (const TensorRef &x : by) {
      TensorRef slope = emit.ref(b.like(x.value, 0));
      slope.slope = x.state;
      results.push_back(slope);
    }
    return list ? make_list(std::move(results)) : results[0];
  }
  if (!frame_->training && asked_training_ && frame_->func && frame_->func->kind == ast::Func::Kind::entry)
    for (const TensorRef &x : by)
      if (x.state >= 0 && states_[x.state].trained) {
        trace.warning_at(at,
                         "gradients of parameters, but `training` is false in this entry: pass `training = true` to the calls");
        break;
      }
  const TensorRef of = emit.tensor(y);
  if (!is_float(of.type.dtype))
    trace.fail(y.span, fmt::format("nothing flows through whole numbers and bools: no derivative of {}", type_text(of.type)));
  if (of.type.rank() > 0)
    trace.fail(y.span, fmt::format("a derivative is that of a scalar, this is {}; write grad(sum(y), x)", type_text(of.type)));
  if (emit.draft->is_body() && emit.draft->is_argument(of.value))
    trace.fail(y.span,
               "this was computed before the step began, and derivatives in a `scan` go back to there; derive it where it "
               "is computed");
  std::vector<Value> values;
  for (const TensorRef &x : by) {
    if (x.value.node > of.value.node && !emit.draft->is_argument(x.value)) {
      const std::string text = operand_text(xs.span), of_text = operand_text(y.span);
      trace.fail(xs.span, fmt::format("{} is newer than {}, which cannot depend on it", text.empty() ? "this value" : text,
                                      of_text.empty() ? "what is derived" : of_text));
    }
    values.push_back(x.value);
  }
  if (values.empty())
    return make_list(std::vector<Datum>{});
  for (const Value value : b.grad(of.value, values)) {
    TensorRef slope = emit.ref(value);
    slope.slope = by[results.size()].state;
    results.push_back(slope);
  }
  return list ? make_list(std::move(results)) : results[0];
}

void Lowering::update(const ast::Update &update) {
  const Span &at = update.optimizer.span;
  if (frame_->func->kind != ast::Func::Kind::entry)
    trace.fail(at, "`update` stands in entries only");
  const ast::Func *optimizer = names_.function(update.optimizer.text, frame_->source);
  if (!optimizer)
    fail_unknown(update.optimizer.text, at, "optimizer");
  if (optimizer->kind != ast::Func::Kind::optimizer)
    trace.fail(at, fmt::format("`{}` is no optimizer", update.optimizer.text), optimizer->head, "declared here");
  if (optimizer->parameters.size() < 2)
    trace.fail(optimizer->head, "an optimizer's first parameters are the parameter and its gradient: `optimizer f(p, g, …)`");

  std::vector<Argument> named;
  std::vector<Operand> given;
  for (Argument &argument : evaluated(update.args))
    if (argument.name)
      named.push_back(std::move(argument));
    else
      given.push_back(std::move(argument.value));
  if (given.empty() || given.size() > 2)
    trace.fail(at, fmt::format("write `update {}(loss, …)` or `update {}(params, gradients, …)`; hyperparameters go by name",
                               optimizer->name.text, optimizer->name.text));
  if (given.size() == 1) {
    if (!given[0].datum.is<TensorRef>())
      trace.fail(given[0].span, fmt::format("a loss is a scalar tensor, this is {}", kind_text(given[0].datum)));
    const Operand loss = given[0];
    if (const Type &type = loss.datum.as<TensorRef>()->type; type.rank() > 0) {
      const std::string text = operand_text(loss.span);
      trace.fail(loss.span, fmt::format("a loss is a scalar, this is {}; write `update {}(mean({}), …)`", type_text(type),
                                        optimizer->name.text, text.empty() ? "loss" : loss.span.text()));
    }
    given[0].datum = list_states({loss}, true, at);
    given.push_back({gradient(loss, given[0], loss.span), loss.span});
    if (given[0].datum.list()->empty())
      trace.fail(loss.span, "this depends on no parameter: nothing to update");
  }
  if (given[0].datum.is<TensorRef>() && given[1].datum.is<Number>() && optimizer->parameters.size() > 2)
    trace.fail(given[1].span, fmt::format("hyperparameters go by name: `{} = …`", optimizer->parameters[2].name.text));
  const std::vector<Operand> ps = items(given[0]), gs = items(given[1]);
  if (ps.size() != gs.size())
    trace.fail(at, fmt::format("{} parameter{} and {} gradient{}", ps.size(), ps.size() == 1 ? "" : "s", gs.size(),
                               gs.size() == 1 ? "" : "s"));
  for (size_t i = 0; i < ps.size(); ++i)
    run_optimizer(*optimizer, ps[i], gs[i], named, at);
}

void Lowering::run_optimizer(const ast::Func &optimizer, const Operand &p, const Operand &g, const std::vector<Argument> &named,
                             const Span &at) {
  const auto *tensor = p.datum.as<TensorRef>();
  if (p.datum.is<Poison>() || g.datum.is<Poison>())
    throw Poisoned{};
  if (!tensor || tensor->state < 0 || !states_[tensor->state].trained)
    trace.fail(p.span,
               fmt::format("an optimizer updates parameters, and this is {}", tensor ? "a computed value" : kind_text(p.datum)));
  const State state = states_[tensor->state];
  if (!emit.draft->is_current(tensor->state, tensor->value))
    trace.fail(p.span, fmt::format("`{}` was updated since it was listed; list it anew with params(…)", state.path));
  const auto *gradient = g.datum.as<TensorRef>();
  if (!gradient || (gradient->type != state.type && gradient->type != Type{wide_dtype(state.type.dtype), state.type.shape}))
    trace.fail(g.span,
               fmt::format("the gradient of `{}`, which is {}, is {}", state.path, type_text(state.type), kind_text(g.datum)));

  const std::string &name = optimizer.name.text;
  Instance &instance = instances_.emplace_back();
  instance.func = &optimizer;
  instance.path = state.path + "/" + name;
  instance.resolved = true;
  instance.call = at;
  Frame callee{.func = &optimizer,
               .source = optimizer.head.source,
               .instance = &instance,
               .training = frame_->training,
               .site = next_site(instance.path)};
  const Trace::Entered entered(trace, name, at);
  std::vector<Argument> arguments = {{std::nullopt, p}, {std::nullopt, g}};
  arguments.insert(arguments.end(), named.begin(), named.end());
  bind_parameters(optimizer, std::move(arguments), at, callee);
  callee.names[optimizer.parameters[0].name.text].state = tensor->state; // the parameter itself: read as it is, assigned by `:=`
  Swap swap(*this, callee, emit.draft);
  run_block(optimizer.body);
}

} // namespace nnc

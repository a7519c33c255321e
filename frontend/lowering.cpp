// The program as a whole: constants, entries one after another, `init`, and the module they make.
//
// Every entry is lowered from the start. `params(net)` and `params("pattern")` list what all entries together declare, so a
// program that asks is lowered again, with what the pass before found, until the answers hold; in the first pass they are
// poison. States and their initial values are kept between passes.
#include "frontend/lowering.h"

#include "frontend/parser.h"
#include "ir/error.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace nnc {

namespace {

constexpr int most_passes = 8;

// What --set gives: a number, true, false or a dtype.
std::optional<Datum> parse_setting(const std::string &text) {
  if (text == "true" || text == "false")
    return text == "true";
  if (const std::optional<DType> dtype = dtype_from_name(text))
    return *dtype;
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

// Paths in use, renumbered; those of calls that left no node are dropped.
void drop_unused_paths(Module &module) {
  std::vector<int> moved(module.paths.size(), -1);
  std::vector<std::vector<Call>> kept;
  const auto use = [&](Loc &loc) {
    int &to = moved[loc.path];
    if (to < 0) {
      to = static_cast<int>(kept.size());
      kept.push_back(module.paths[loc.path]);
    }
    loc.path = to;
  };
  Loc direct;
  use(direct);
  const std::function<void(Region &)> use_in = [&](Region &region) {
    for (Node &node : region.nodes) {
      use(node.loc);
      if (node.body) {
        Region body = *node.body;
        use_in(body);
        node.body = std::make_shared<const Region>(std::move(body));
      }
    }
  };
  for (Function &function : module.functions) {
    use(function.loc);
    use_in(function);
    for (Result &result : function.function_results)
      use(result.loc);
  }
  module.paths = std::move(kept);
}

} // namespace

std::optional<Module> compile_source(const Source &source, const SourceOptions &options, Diagnostics &diagnostics) {
  const ast::File file = parse(source, diagnostics);
  const Files files(file, options.used, diagnostics);
  if (diagnostics.has_errors())
    return std::nullopt;
  return Lowering(files, options, diagnostics).run();
}

Lowering::Lowering(const Files &files, const SourceOptions &options, Diagnostics &diagnostics)
    : trace(diagnostics, *files.model().source), emit(trace), model_(files.model()), names_(files, diagnostics) {
  const Source *model = model_.source;
  file_frame_.source = model;
  frame_ = &file_frame_;
  emit.foreign = [this](const TensorRef &tensor) -> std::optional<Value> {
    if (emit.draft != init_.get() || tensor.state < 0)
      return std::nullopt;
    return initial_[tensor.state];
  };
  for (const auto &[name, text] : options.set) {
    const ast::Const *item = names_.constant(name, model);
    if (item && item->name.span.source != model)
      throw Error(fmt::format("{}: `const {}` is one of {}; only those of the model can be set", model->name(), name,
                              item->name.span.source->name()));
    if (!item)
      throw Error(fmt::format("{}: there is no `const {}` to set{}", model->name(), name,
                              names_.did_you_mean(name, Names::Meant::value, {}, model)));
    std::optional<Datum> value = parse_setting(text);
    if (!value)
      throw Error(
          fmt::format("{}: `{}` is no value for `const {}`: a number, true, false or a dtype", model->name(), text, name));
    set_[item] = *value;
  }
}

std::optional<Module> Lowering::run() {
  init_ = std::make_unique<Draft>();
  seed_ = init_->input(Type{DType::i64, {}}, "seed", {});
  for (const ast::Item &item : model_.items)
    if (auto *constant = item.as<ast::Const>())
      try {
        this->constant(*constant);
      } catch (const Poisoned &) {
      }
  if (names_.entries().empty() && !trace.has_errors())
    trace.error(model_.items.empty() ? Span{model_.source, 0, 0} : model_.items[0].span,
                "nothing to compile: there is no `entry`");

  for (int pass = 0; pass < most_passes; ++pass) {
    functions_.clear();
    queries_.clear();
    instances_.clear();
    declaring_.clear();
    rounds_ = steps_ = 0;
    trace.forget_reported();
    for (const ast::Func *entry : names_.entries())
      lower_entry(*entry);
    if (trace.has_errors())
      return std::nullopt;
    const bool holds = std::all_of(queries_.begin(), queries_.end(), [&](const Query &query) {
      return known_states_ && query.answer == matching(query.patterns, query.trained, states_.size());
    });
    if (holds) {
      for (const Query &query : queries_)
        report_unmatched(query);
      return trace.has_errors() ? std::nullopt : std::optional(finish());
    }
    known_states_ = states_.size();
  }
  trace.error(names_.entries()[0]->name.span, "`params` lists parameters that depend on what it lists");
  return std::nullopt;
}

Datum Lowering::constant(const ast::Const &item) {
  const auto [known, is_new] = constants_.try_emplace(&item);
  if (!is_new) {
    if (!known->second)
      trace.fail(item.name.span, fmt::format("`const {}` depends on itself", item.name.text));
    if (known->second->is<Poison>())
      throw Poisoned{};
    return *known->second;
  }
  Datum value;
  try {
    Frame frame{.source = item.name.span.source};
    Swap swap(*this, frame, nullptr);
    value = eval(*item.value);
    if (value.is<FunctionRef>())
      trace.fail(item.value->span, fmt::format("a const is a number, bool, string, dtype or list, not {}", kind_text(value)));
    if (auto set = set_.find(&item); set != set_.end()) {
      if (!(value.is<Number>() || value.is<bool>() || value.is<DType>()) || value.value.index() != set->second.value.index())
        trace.fail(item.name.span, fmt::format("`const {}` is {} and cannot be set to {}", item.name.text, kind_text(value),
                                               datum_text(set->second)));
      value = set->second;
    }
  } catch (const Poisoned &) {
    constants_[&item] = Datum();
    throw;
  }
  constants_[&item] = value;
  return value;
}

Module Lowering::finish() {
  Module module;
  for (size_t i = 0; i < states_.size(); ++i)
    init_->set_state(static_cast<int>(i), *initial_[i], trace.loc(state_decls_[i]->head));
  functions_.push_back(init_->finish("init", "Gives every parameter and state its first value.", {}, states_, state_names()));
  module.files = trace.files;
  module.paths = trace.paths;
  module.states = states_;
  module.functions = std::move(functions_);
  drop_unused_paths(module);
  return module;
}

} // namespace nnc

// Statements. A statement that fails leaves its targets poisoned, and evaluation goes on behind it: so one run reports every
// independent error, and none twice.
#include "frontend/lowering.h"
#include "ir/error.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {
constexpr int64_t most_rounds = 100'000; // of all `for` loops while one pass is lowered

// Does a loop with this body yield, if only under a condition?
bool yields(const ast::Block &block) {
  return std::any_of(block.statements.begin(), block.statements.end(), [](const ast::Stmt &stmt) {
    const auto *choice = stmt.as<ast::If>();
    return stmt.as<ast::Yield>() || (choice && ((choice->otherwise && yields(*choice->otherwise)) ||
                                                std::any_of(choice->branches.begin(), choice->branches.end(),
                                                            [](const ast::If::Branch &branch) { return yields(branch.body); })));
  });
}
} // namespace

bool Lowering::run_block(const ast::Block &block) {
  for (const ast::Stmt &stmt : block.statements) {
    const auto recover = [&] {
      poisoned_ = true;
      if (auto *assigned = stmt.as<ast::Assign>())
        poison(assigned->targets);
      else if (auto *loop = stmt.as<ast::Loop>())
        poison(loop->targets);
      else if (auto *decl = stmt.as<ast::Decl>())
        bind(decl->name.text, Datum(), decl->head);
      else if (auto *choice = stmt.as<ast::If>())
        poison_assigned(*choice);
    };
    try {
      const Nesting nesting(*this, stmt.span);
      evaluating_ = stmt.span;
      spend(1);
      if (run_statement(stmt))
        return true;
    } catch (const Poisoned &) {
      recover();
    } catch (const Error &error) { // from the builder: what was not foreseen, above all sizes that overflow
      trace.error(emit.last ? emit.last : stmt.span, error.what());
      recover();
    }
    if (stmt.as<ast::Return>())
      return true; // it failed
  }
  return false;
}

bool Lowering::run_statement(const ast::Stmt &stmt) {
  if (auto *assigned = stmt.as<ast::Assign>())
    assign(*assigned);
  else if (auto *decl = stmt.as<ast::Decl>())
    declare(*decl);
  else if (auto *loop = stmt.as<ast::Loop>())
    return run_loop(*loop);
  else if (auto *choice = stmt.as<ast::If>())
    return run_if(*choice);
  else if (auto *needed = stmt.as<ast::Require>(); needed && !require(*needed)) {
    poisoned_ = true;
    return true; // what follows counts on it
  } else if (auto *given = stmt.as<ast::Yield>())
    yield(*given, stmt.span);
  else if (auto *step = stmt.as<ast::Update>())
    update(*step);
  else if (auto *result = stmt.as<ast::Return>())
    return_values(*result);
  return stmt.as<ast::Return>();
}

void Lowering::bind(const std::string &name, Datum datum, const Span &at, int state) {
  frame_->names.insert_or_assign(name, Binding{std::move(datum), at, state});
}

void Lowering::poison(const std::vector<ast::Target> &targets) {
  for (const ast::Target &target : targets)
    if (auto found = frame_->names.find(target.name.text); found == frame_->names.end() || found->second.state < 0)
      bind(target.name.text, Datum(), target.span);
}

// A condition that failed: what the branches would have assigned is unknown.
void Lowering::poison_assigned(const ast::If &choice) {
  const auto poison_in = [&](const ast::Block &block) {
    for (const ast::Stmt &stmt : block.statements)
      if (auto *assigned = stmt.as<ast::Assign>())
        poison(assigned->targets);
  };
  for (const ast::If::Branch &branch : choice.branches)
    poison_in(branch.body);
  if (choice.otherwise)
    poison_in(*choice.otherwise);
}

void Lowering::bind_loop_names(const ast::Loop &loop, const Operand &item) {
  if (loop.names.size() == 1)
    return bind(loop.names[0].text, item.datum, loop.names[0].span);
  const auto *list = item.datum.list();
  if (!list || list->size() != loop.names.size())
    trace.fail(loop.sequence->span, fmt::format("{} names for items that are {}", loop.names.size(), kind_text(item.datum)));
  for (size_t i = 0; i < list->size(); ++i)
    bind(loop.names[i].text, (*list)[i], loop.names[i].span);
}

bool Lowering::run_loop(const ast::Loop &loop) {
  if (loop.kind == ast::Loop::Kind::scan) {
    run_scan(loop);
    return false;
  }
  if (!loop.targets.empty() && !yields(loop.body))
    trace.fail(loop.word, fmt::format("`{}` would be what this loop yields, and it has no `yield`", loop.targets[0].name.text));
  const Operand sequence = operand(*loop.sequence);
  const auto *list = sequence.datum.list();
  if (!list)
    trace.fail(sequence.span,
               fmt::format("`for` goes through a list, such as 0..10, or zip(a, b), not {}{}", kind_text(sequence.datum),
                           sequence.datum.is<TensorRef>() ? "; `scan` goes through a tensor" : ""));

  std::vector<std::vector<Datum>> yields(loop.targets.size());
  auto *outer = std::exchange(frame_->yields, &yields);
  frame_->rounds.push_back(0);
  struct Leave {
    Frame &frame;
    std::vector<std::vector<Datum>> *yields;
    ~Leave() {
      frame.yields = yields;
      frame.rounds.pop_back();
    }
  } leave{*frame_, outer};
  const bool was_poisoned = std::exchange(poisoned_, false); // from here on: the loop failed
  for (const Datum &item : *list) {
    if (rounds_ > most_rounds || exhausted_ || too_large_)
      throw Poisoned{};
    if (++rounds_ > most_rounds)
      trace.fail(loop.word,
                 fmt::format("`for` is unrolled, and this is more than {} rounds; a long loop is a `scan`", most_rounds));
    bind_loop_names(loop, {item, sequence.span});
    if (run_block(loop.body)) {
      poisoned_ = poisoned_ || was_poisoned;
      return true;
    }
    ++frame_->rounds.back();
  }
  const bool failed = std::exchange(poisoned_, poisoned_ || was_poisoned);
  if (failed)
    poison(loop.targets);
  for (size_t i = 0; !failed && i < loop.targets.size(); ++i)
    try {
      assign_name(loop.targets[i], {make_list(std::move(yields[i])), loop.targets[i].span}, nodes());
    } catch (const TooLarge &error) {
      trace.fail(loop.targets[i].span, error.what());
    }
  return false;
}

bool Lowering::condition(const ast::Expr &expr) {
  const Datum value = eval(expr);
  if (const auto *decided = value.as<bool>())
    return *decided;
  if (value.is<TensorRef>())
    trace.fail(expr.span, "`if` is decided at compile time; to choose at run time, write where(condition, a, b)");
  trace.fail(expr.span, fmt::format("the condition must be a bool, not {}", kind_text(value)));
}

bool Lowering::run_if(const ast::If &choice) {
  for (const ast::If::Branch &branch : choice.branches)
    if (condition(*branch.condition))
      return run_block(branch.body);
  return choice.otherwise && run_block(*choice.otherwise);
}

bool Lowering::require(const ast::Require &require) {
  const Datum condition = eval(*require.condition);
  std::string message;
  for (const ast::Require::Part &part : require.message) {
    message += part.text;
    if (!part.name)
      continue;
    std::optional<Datum> value = lookup_value(part.name->text);
    if (!value)
      fail_unknown(part.name->text, part.name->span, "name");
    spend(static_cast<int64_t>(message.size()) / 16);
    message += datum_text(*value);
  }
  const auto *tensor = condition.as<TensorRef>();
  const std::optional<double> splat = tensor ? emit.draft->splat(tensor->value) : std::nullopt;
  if (const auto *decided = condition.as<bool>(); decided || splat) {
    if (decided ? *decided : *splat != 0)
      return true;
    trace.error_of_caller(require.condition->span, message);
    return false;
  }
  if (!tensor || !is_bool(tensor->type.dtype))
    trace.fail(require.condition->span, fmt::format("the condition must be a bool, not {}", kind_text(condition)));
  emit.check(*tensor, message, require.condition->span);
  return true;
}

void Lowering::yield(const ast::Yield &yield, const Span &at) {
  if (!frame_->yields)
    trace.fail(at, "`yield` stands in a loop only");
  if (frame_->yields->empty())
    trace.fail(at, "nothing takes what this loop yields; write `name = for …`");
  std::vector<Operand> values = unpacked(yield.values, frame_->yields->size(), at);
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i].datum.is<Poison>())
      throw Poisoned{};
    (*frame_->yields)[i].push_back(std::move(values[i].datum));
  }
}

void Lowering::return_values(const ast::Return &result) {
  Frame &frame = *frame_;
  if (frame.func->kind == ast::Func::Kind::optimizer)
    trace.fail(result.word, "an optimizer returns nothing: it assigns with `:=`");
  const bool entry = frame.func->kind == ast::Func::Kind::entry;
  std::vector<const ast::Expr *> exprs;
  std::vector<std::string> names;
  for (const ast::Arg &arg : result.values) {
    exprs.push_back(arg.value.get());
    if (arg.name && !entry)
      trace.fail(arg.name->span, "only an entry names its results; here write the values alone");
    const auto *variable = arg.value->as<ast::Ref>();
    if (arg.name)
      names.push_back(arg.name->text);
    else if (variable && !dtype_from_name(variable->name))
      names.push_back(variable->name);
    else if (result.values.size() == 1 || !entry)
      names.push_back("result");
    else
      trace.fail(arg.span, "one of several results needs a name: `name = …`");
  }
  frame.results = operands(exprs);
  frame.has_results = true;
  frame.result_names = std::move(names);
}

} // namespace nnc

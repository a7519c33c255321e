// Lowering: evaluates a program once for every entry and drafts the IR. Internal to frontend/lowering_*.cpp.
//
// A function is evaluated anew at every call, with its sizes bound: there are no generic functions left in the IR. Compile-time
// data live in Frames; tensors become nodes of the Draft that `emit.draft` points at: an entry's, or `init`'s while an
// initialiser is evaluated.
#pragma once

#include "frontend/builtins.h"
#include "frontend/emit.h"
#include "frontend/frontend.h"
#include "frontend/instances.h"
#include "frontend/names.h"

#include <list>
#include <memory>

namespace nnc {

// What a name stands for in a function.
struct Binding {
  Datum datum;
  Span at;        // where it was bound
  int state = -1; // a declared param or state: its value is the one it has now
};

// One call of a function, or a piece of text at file level.
struct Frame {
  const ast::Func *func = nullptr;
  const Source *source = nullptr; // of the text being evaluated: the library sees its own names only
  Instance *instance = nullptr;
  bool training = false;
  bool mode_given = false;      // `training = …` was said, here or further out
  std::string elementwise = {}; // the elementwise function this belongs to, if it does
  uint64_t site = 0;            // of the call: which of all calls in the entry this is
  std::unordered_map<std::string, Binding> names = {};
  std::optional<Shape> leading = {}; // the sizes `...` stands for
  std::optional<Type> declared = {}; // in an initialiser: the declared type

  std::unordered_map<std::string, int> calls = {};   // of each function so far, draws included
  std::vector<int64_t> rounds = {};                  // of the loops around the current statement
  std::vector<std::vector<Datum>> *yields = nullptr; // of the nearest, one list for each target
  bool has_results = false;
  std::vector<Operand> results = {};
  std::vector<std::string> result_names = {};
};

// An argument of a call, evaluated.
struct Argument {
  std::optional<ast::Name> name;
  Operand value;
};

// Is a function applied element by element? It is if its typed parameters are all scalars.
bool is_elementwise(const ast::Func &func);

class Lowering {
public:
  Lowering(const Files &files, const SourceOptions &options, Diagnostics &diagnostics);
  std::optional<Module> run();

  // ---- for builtins
  Trace trace;
  Emit emit;
  const Frame &frame() const { return *frame_; }
  Datum gradient(const Operand &y, const Operand &xs, const Span &at);
  Datum list_states(const std::vector<Operand> &what, bool trained, const Span &at);
  Datum random_seed(const Span &at);
  Datum random_bits(const Shape &shape, const Operand &seed, const Span &at);

private:
  // For as long as it lives, `frame` is evaluated and nodes go to `draft`.
  struct Swap {
    Lowering &lowering;
    Frame *frame;
    Draft *draft;
    Swap(Lowering &lowering, Frame &frame, Draft *draft)
        : lowering(lowering), frame(std::exchange(lowering.frame_, &frame)), draft(std::exchange(lowering.emit.draft, draft)) {}
    ~Swap() {
      lowering.frame_ = frame;
      lowering.emit.draft = draft;
    }
    Swap(const Swap &) = delete;
  };
  // One more level of evaluation; an error where the stack might not hold it.
  struct Nesting {
    Lowering &lowering;
    Nesting(Lowering &lowering, const Span &at);
    ~Nesting() { --lowering.depth_; }
    Nesting(const Nesting &) = delete;
  };

  // So much more work: an error at the expression being evaluated where that, or the entry, outgrows every bound. All that a
  // short text can multiply passes here.
  void spend(int64_t steps);

  // ---- the program (lowering.cpp) and its entries (entries.cpp)
  Datum constant(const ast::Const &item);
  void lower_entry(const ast::Func &entry);
  void make_outputs(const ast::Func &entry);
  std::vector<std::string> names_in(const std::vector<Datum> &list) const;
  void add_output(const std::string &name, const Operand &value);
  Module finish();

  // ---- expressions (lowering_expressions.cpp)
  Datum eval(const ast::Expr &expr);
  Operand operand(const ast::Expr &expr);
  std::vector<Operand> operands(const std::vector<const ast::Expr *> &exprs); // each reports its errors
  Datum eval_ref(const ast::Ref &ref, const Span &span);
  Datum eval_list(const ast::List &list);
  Datum eval_expr(const ast::Expr &expr); // eval without its bounds
  Datum eval_binary(const ast::Binary &binary);
  Datum eval_link(const Operand &left, const ast::Binary::Link &link);
  std::vector<SubscriptValue> subscripts(const std::vector<ast::Subscript> &written);
  std::optional<Datum> lookup_value(const std::string &name);
  std::optional<FunctionRef> lookup_function(const std::string &name) const;
  Datum read(const Binding &binding);
  [[noreturn]] void fail_unknown(const std::string &name, const Span &span, std::string_view what);
  std::string hint_for_unknown(const std::string &name, const Span &span, std::string_view what);
  void refuse_if_elementwise(const Datum &datum, std::string_view what, const Span &at);

  // ---- calls (lowering_calls.cpp)
  Datum eval_call(const ast::Call &call, const Span &span);
  std::vector<Argument> evaluated(const std::vector<ast::Arg> &args);
  Datum call(const FunctionRef &function, std::vector<Argument> arguments, const Span &at);
  Datum call_builtin(const Builtin &builtin, std::vector<Argument> arguments, const Span &at);
  Datum call_func(const ast::Func &func, std::vector<Argument> arguments, const Span &at, const std::optional<ast::Name> &as,
                  std::optional<bool> training);
  Datum call_gradient(FunctionRef function, std::vector<Argument> arguments, const Span &at);

  // ---- signatures (signature.cpp)
  void bind_parameters(const ast::Func &func, std::vector<Argument> arguments, const Span &at, Frame &callee);
  Datum bind_typed(const ast::Parameter &parameter, const Operand &argument, Frame &callee, bool elementwise);
  Datum check_kind(const ast::Parameter &parameter, const Operand &argument);
  void match_sizes(const ast::TypeExpr &type, const TensorRef &tensor, const Operand &argument, const Span &parameter,
                   Frame &callee);
  std::optional<DType> dtype_named(const ast::Name &name);
  bool is_bound_here(const std::string &name) const;
  Type type_of(const ast::TypeExpr &type); // every name in it has a value
  Datum check_results(const ast::Func &func, const Frame &callee, const std::optional<Shape> &joint, const Span &at);
  Operand check_result(const ast::TypeExpr &type, const Operand &result);
  Operand check_element(const ast::TypeExpr &type, const Operand &result, const std::optional<Shape> &joint);

  // ---- statements (lowering_statements.cpp); the bools say: it returned
  bool run_block(const ast::Block &block);
  bool run_statement(const ast::Stmt &stmt);
  bool run_loop(const ast::Loop &loop);
  bool run_if(const ast::If &choice);
  int nodes() const { return emit.draft ? emit.draft->size() : 0; }
  void bind(const std::string &name, Datum datum, const Span &at, int state = -1);
  void poison(const std::vector<ast::Target> &targets);
  void poison_assigned(const ast::If &choice);
  std::vector<Operand> unpacked(const std::vector<ast::ExprPtr> &values, size_t targets, const Span &at);
  void assign(const ast::Assign &assign);
  void assign_name(const ast::Target &target, const Operand &value, int since);
  void assign_state(const ast::Target &target, const Operand &given, const Span &op);
  void bind_loop_names(const ast::Loop &loop, const Operand &item);
  bool condition(const ast::Expr &expr);
  bool require(const ast::Require &require); // is it met, as far as this is known?
  void yield(const ast::Yield &yield, const Span &at);
  void return_values(const ast::Return &result);

  // ---- loops that stay loops (lowering_scan.cpp)
  void run_scan(const ast::Loop &loop);
  std::vector<TensorRef> sequences(const ast::Loop &loop, const Operand &axis, int64_t &steps);
  TensorRef sequence(const ast::Expr &expr, const Operand &axis);
  TensorRef moved_axis(const TensorRef &tensor, int64_t from, int64_t to, const Span &at);
  Datum imported(const Datum &datum); // with the tensors that it holds, as the body being lowered sees them
  void next_values(const std::string &name, const Binding &binding, const Span &start, const Datum &before, const Datum &after,
                   std::vector<Value> &next);

  // ---- params and state (lowering_states.cpp)

  // params("…") and params(net) list what all entries declare, so they are answered by the pass before: see lowering.cpp.
  struct Query {
    std::vector<std::string> patterns;
    size_t written = 0; // of them, the first are those of the text
    bool trained;
    Span at;
    std::vector<int> answer = {};
  };

  Instance *make_instance(const ast::Func &func, const Span &at, const std::optional<ast::Name> &as);
  void number(Instance &instance);
  void take_part(Instance &instance, const std::string &part, const Span &at);
  const std::string &resolve(Instance &instance);
  void declare(const ast::Decl &decl);
  int file_state(const ast::Decl &decl);
  int declare_at(const ast::Decl &decl, const std::string &path);
  Value initial_value(const ast::Decl &decl, const std::optional<Type> &type, const std::string &path);
  Datum current(int state);
  void report_unmatched(const Query &query);
  std::vector<int> matching(const std::vector<std::string> &patterns, bool trained, size_t known) const;
  std::vector<int> reached_states(const TensorRef &tensor, bool trained, std::map<int, TensorRef> &values) const;
  std::vector<std::string> state_names() const;

  // ---- random numbers (random.cpp)
  uint64_t next_site(const std::string &name);
  int stream_state(const ast::Decl &decl);
  [[noreturn]] void fail_reserved(const ast::Decl &decl, const std::string &path);
  void count_draws();

  // ---- update (lowering_update.cpp)
  void update(const ast::Update &update);
  void run_optimizer(const ast::Func &optimizer, const Operand &p, const Operand &g, const std::vector<Argument> &named,
                     const Span &at);

  const ast::File &model_;
  Names names_;
  std::unordered_map<const ast::Const *, std::optional<Datum>> constants_; // empty while being computed
  std::unordered_map<const ast::Const *, Datum> set_;
  Frame *frame_ = nullptr;
  Frame file_frame_;
  std::vector<const ast::Func *> active_; // functions being called, outermost first

  // Params and states: the module's table, where each was declared, and its first value in `init`.
  std::vector<State> states_;
  std::vector<const ast::Decl *> state_decls_;
  std::vector<std::optional<Value>> initial_;
  std::unordered_map<std::string, int> state_index_;
  std::unique_ptr<Draft> init_;
  Value seed_;
  std::string drawing_path_; // of the state whose initialiser is evaluated
  int draws_ = 0;            // its random_bits so far

  std::unordered_map<const ast::Decl *, bool> declaring_; // at file level: begun, and not failed since

  std::vector<Query> queries_;
  std::optional<size_t> known_states_; // how many states there were after the pass before; none in the first

  std::list<Instance> instances_;
  std::vector<Function> functions_;
  std::unordered_map<std::string, const ast::Func *> nets_; // those called, by name
  bool asked_training_ = false;                             // the current entry depends on whether it trains, and did not say
  bool counts_draws_ = false;                               // the current entry draws random numbers
  bool too_large_ = false;                                  // the current entry, and it was said
  bool exhausted_ = false;                                  // so is the program
  bool poisoned_ = false;                                   // a statement of the current function failed
  int depth_ = 0;                                           // of nested evaluation, bounded for the sake of the stack
  int64_t rounds_ = 0;                                      // of all loops, bounded for the sake of time
  int64_t steps_ = 0;                                       // of all evaluation, too
  int64_t bodies_ = 0;                                      // operations in bodies of loops that the current entry has made
  Span evaluating_ = {};                                    // the expression begun last
};

} // namespace nnc

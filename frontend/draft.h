// Draft: one function of the module, or the body of a loop in one, while it is being lowered.
#pragma once

#include "frontend/datum.h"
#include "ir/builder.h"

#include <map>
#include <set>

namespace nnc {

class Draft {
  Function function_;

public:
  Builder b{function_};

  Draft() = default;
  // The body of a loop of `outer`, which must not change before `finish_loop`.
  Draft(Draft &outer, int64_t steps) : outer_(&outer), steps_(steps) {}
  Draft(const Draft &) = delete;

  // Arguments are made when first asked for; `finish` moves them to the front.

  Value input(const Type &type, const std::string &name, const Span &declared);
  // The value state `index` has at this point: its argument until it is assigned.
  Value state(int index, const State &state, const Span &declared);
  void set_state(int index, Value value, const Loc &loc);
  bool is_current(int index, Value value) const;
  // The state whose value `value` is or once was, or -1.
  int state_of(Value value) const;
  bool writes_state() const { return !written_.empty(); }

  // ---- of a body

  bool is_body() const { return outer_; }
  int64_t operations() const { return size() + (outer_ ? outer_->operations() : 0); } // with those of the drafts around it
  // A tensor of a draft around this one; none for those of others. It is an argument that is the same in every step, or, if it
  // is what a state is in `outer`, that state.
  std::optional<Value> imported(const TensorRef &tensor);
  Value carry(Value first, const std::string &name); // starts as `first` of `outer`
  Value slice(Value stack);                          // of the step, of a tensor of `outer`
  // Which step this is, an i64 from 0; steps of loops around it are counted through.
  Value step();
  // A state that was imported and then assigned: what was imported is no longer what it was. -1: none.
  int stale_state() const;
  // The loop becomes a node of `outer`. `next` are the next values of the carries, in their order; the result holds their last
  // ones, then the stacks. Assigned states are carried too and set in `outer`; a check holds if it does in every step.
  std::vector<Value> finish_loop(std::vector<Value> next, const std::vector<Value> &stacks, const std::vector<State> &states,
                                 const Loc &loc);

  // ---- of a function

  void output(const std::string &name, Value value, const Loc &loc);
  void check(Value holds, const std::string &message, const Loc &loc);
  const std::vector<Result> &outputs() const { return outputs_; }

  // The name a value carries in dumps: the last one given.
  void name(Value value, const std::string &name) { names_[value] = name; }
  bool has_name(Value value) const { return names_.count(value) || is_argument(value); }

  // Where an argument was declared; nothing for other values.
  const Span *declared(Value value) const;
  const Node &node(Value value) const { return function_.node(value); }
  const Type &type(Value value) const { return function_.type(value); }
  int size() const { return static_cast<int>(function_.nodes.size()); }
  bool is_argument(Value value) const { return node(value).op == Op::arg; }
  // The number every element is, if this is such a constant.
  std::optional<double> splat(Value value) const;
  // The elements, if they follow from constants alone and are not too many.
  std::optional<Tensor> known(Value value) const;

  // Arguments first (inputs, then states in order), what no result needs dropped, values named.
  Function finish(const std::string &name, const std::string &doc, const Loc &loc, const std::vector<State> &states,
                  const std::vector<std::string> &state_names);

private:
  Value argument(const Type &type, const Span &declared);
  Value import(Value outer);

  std::vector<Value> inputs_;
  std::map<int, Value> arguments_, current_, written_; // of states, by index
  std::map<int, Loc> written_at_;
  std::map<Value, int> versions_;
  std::map<Value, std::string> names_;
  std::map<Value, Span> declared_;
  std::vector<Result> outputs_, checks_;

  Draft *const outer_ = nullptr;
  const int64_t steps_ = 0;
  std::vector<std::pair<Value, Value>> carries_, slices_; // argument, value in `outer`
  std::map<Value, Value> imports_;                        // of values in `outer`: arguments, or constants made anew
  std::set<int> imported_states_;
  Value step_;
};

} // namespace nnc

// Draft: one function of the module while it is being lowered.
#pragma once

#include "frontend/datum.h"
#include "ir/builder.h"

#include <map>

namespace nnc {

class Draft {
  Function function_;

public:
  Builder b{function_};

  // Arguments are made when first asked for; `finish` moves them to the front.

  Value input(const Type &type, const std::string &name, const Span &declared);
  // The value state `index` has at this point: its argument until it is assigned.
  Value state(int index, const State &state, const Span &declared);
  void set_state(int index, Value value, const Loc &loc);
  bool is_current(int index, Value value) const;
  // The state whose value `value` is or once was, or -1.
  int state_of(Value value) const;
  bool writes_state() const { return !written_.empty(); }

  void output(const std::string &name, Value value, const Loc &loc);
  void check(Value holds, const std::string &message, const Loc &loc);
  const std::vector<Result> &outputs() const { return outputs_; }

  // The name a value carries in dumps: the last one given.
  void name(Value value, const std::string &name) { names_[value] = name; }
  bool has_name(Value value) const { return names_.count(value) || is_argument(value); }

  // Where an argument was declared; nothing for other values.
  const Span *declared(Value value) const;
  const Node &node(Value value) const { return function_.node(value); }
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

  std::vector<Value> inputs_;
  std::map<int, Value> arguments_, current_, written_; // of states, by index
  std::map<int, Loc> written_at_;
  std::map<Value, int> versions_;
  std::map<Value, std::string> names_;
  std::map<Value, Span> declared_;
  std::vector<Result> outputs_, checks_;
};

} // namespace nnc

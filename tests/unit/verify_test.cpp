// One sound module, and what the verifier says to every way of breaking it.
#include "ir/builder.h"
#include "ir/text.h"
#include "ir/verify.h"

#include <functional>
#include <gtest/gtest.h>

namespace nnc {
namespace {

Module sound() {
  return parse_module(R"(module "a.nn"
state "net/w" : f32[2] param
state "net/v" : f32[2] carried
func step(%x: f32[2] input, %w: f32[2] state "net/w") -> (y = %y, %w.next -> %w, check %ok "not ok") {
  %c = constant([1, 2]) : f32[2]
  %y = add(%x, %w) : f32[2] @1:2/1
  %w.next = fused(%a = %y) : f32[2] {
    %b = neg(%a) : f32[2]
    yield %b
  }
  %ok = constant(true) : bool
  %total = sum(%y, axes=[0]) : f32
  %d = grad(%total, %x) : f32[2]
}
path 1 = net@3:4
)",
                      "a.nnir");
}

struct Case {
  const char *violation;
  std::function<void(Module &, Function &)> damage;
};

Node &named(Function &f, const std::string &name) {
  for (Node &node : f.nodes)
    if (node.label() == name)
      return node;
  throw std::runtime_error(name);
}

// Applies `change` to a copy of the fused body.
void change_body(Function &f, const std::function<void(Region &)> &change) {
  Node &node = named(f, "w.next");
  Region body = *node.body;
  change(body);
  node.body = std::make_shared<const Region>(std::move(body));
}

// The fused node as a loop.
void make_scan(Function &f, const ScanInfo &info) {
  named(f, "w.next").op = Op::scan;
  named(f, "w.next").scan = info;
}

TEST(Verify, NamesWhatIsWrong) {
  ASSERT_EQ(verify(sound()), "");
  const Type scalar{DType::f32, {}};
  const Case cases[] = {
      {"the module has no file", [](Module &m, Function &) { m.files.clear(); }},
      {"path 0 must be empty", [](Module &m, Function &) { m.paths.erase(m.paths.begin()); }},
      {"two states are called `net/w`", [](Module &m, Function &) { m.states[1].path = "net/w"; }},
      {"`a b` is no name for a function", [](Module &, Function &f) { f.name = "a b"; }},
      {"`step`: `%y` (add): path 2 is not in the module", [](Module &, Function &f) { named(f, "y").loc.path = 2; }},
      {"`step`: file 1 is not in the module", [](Module &, Function &f) { f.loc.file = 1; }},
      {"`step`: `%y` (add): its type is f32, `add` gives f32[2]", [&](Module &, Function &f) { named(f, "y").types = {scalar}; }},
      {"`step`: `%y` (add): an operand is not defined before it",
       [](Module &, Function &f) { named(f, "y").operands[0] = {4, 0}; }},
      {"`step`: `%y` (add): an operand is not defined before it",
       [](Module &, Function &f) { named(f, "y").operands[0] = {0, 1}; }},
      {"`step`: `%y` (add): it has attributes that `add` does not use",
       [](Module &, Function &f) { named(f, "y").attrs.axis = 1; }},
      {"`step`: `%y` (add): it has 2 results",
       [&](Module &, Function &f) {
         named(f, "y").types.push_back(scalar);
         named(f, "y").names.push_back("z");
       }},
      {"`step`: two values are called `%y`", [](Module &, Function &f) { named(f, "c").names = {"y"}; }},
      {"`step`: `1` is no name for a value", [](Module &, Function &f) { named(f, "c").names = {"1"}; }},
      {"`step`: node 2: 0 names for 1 results", [](Module &, Function &f) { named(f, "c").names.clear(); }},
      {"`step`: `%c` (constant): data belong to constants only", [](Module &, Function &f) { named(f, "c").data = nullptr; }},
      {"`step`: `%c` (constant): its data are f32, its type is f32[2]",
       [&](Module &, Function &f) { named(f, "c").data = std::make_shared<const Tensor>(scalar); }},
      {"`step`: `%c` (arg): arguments must be the first nodes, and no others",
       [](Module &, Function &f) { named(f, "c").op = Op::arg; }},
      {"`step`: `%w.next` (fused): a body belongs to fused nodes and scans only",
       [](Module &, Function &f) { named(f, "w.next").body = nullptr; }},
      {"`step`: `%w.next` (fused): operand 1 is f32, the body's argument f32[2]",
       [](Module &, Function &f) {
         named(f, "w.next").operands = {{0, 0}};
         f.nodes[0].types = {{DType::f32, {}}};
         named(f, "y").operands[0] = {1, 0};
       }},
      {"`step`: `%w.next` (fused): it has 0 operands and its body 1 arguments",
       [](Module &, Function &f) { named(f, "w.next").operands.clear(); }},
      {"`step`: `%w.next` (fused): its body yields an undefined value",
       [](Module &, Function &f) { change_body(f, [](Region &body) { body.results = {{2, 0}}; }); }},
      {"`step`: `%w.next` (fused): it has 1 results and its body 2",
       [](Module &, Function &f) { change_body(f, [](Region &body) { body.results.push_back({0, 0}); }); }},
      {"`step`: `%w.next` (fused): `%b` (exp): exp: 1 operands, not 0",
       [](Module &, Function &f) {
         change_body(f, [](Region &body) {
           body.nodes[1].op = Op::exp;
           body.nodes[1].operands.clear();
         });
       }},
      {"`step`: `%d` (grad): operand 1 must be a scalar float, not f32[2]",
       [](Module &, Function &f) { named(f, "d").operands[0] = {0, 0}; }},
      {"`step`: 1 arguments are described, there are 2", [](Module &, Function &f) { f.arg_info.pop_back(); }},
      {"`step`: inputs come before states", [](Module &, Function &f) { f.arg_info = {{0}, {-1}}; }},
      {"`step`: state 2 is not in the module", [](Module &, Function &f) { f.arg_info[1].state = 2; }},
      {"`step`: state `net/v` is f32[3], its argument f32[2]",
       [](Module &m, Function &f) {
         m.states[1].type = {DType::f32, {3}};
         f.arg_info[1].state = 1;
       }},
      {"`step`: `x.1` is no name for an input", [](Module &, Function &f) { f.nodes[0].names = {"x.1"}; }},
      {"`step`: result `y` is not defined", [](Module &, Function &f) { f.function_results[0].value = {99, 0}; }},
      {"`step`: two inputs or results are called `x`", [](Module &, Function &f) { f.function_results[0].name = "x"; }},
      {"`step`: a state belongs to state results only", [](Module &, Function &f) { f.function_results[0].state = 0; }},
      {"`step`: state 1 is written and no argument", [](Module &, Function &f) { f.function_results[1].state = 1; }},
      {"`step`: state `net/w` is f32[2], its next value f32",
       [](Module &, Function &f) { f.function_results[1].value = {6, 0}; }},
      {"`step`: state `net/w` is written twice",
       [](Module &, Function &f) { f.function_results.push_back(f.function_results[1]); }},
      {"`step`: a check must be a scalar bool, not f32[2]", [](Module &, Function &f) { f.function_results[2].value = {0, 0}; }},
      {"`step`: `%y` (add): a place is negative", [](Module &, Function &f) { named(f, "y").loc.order = -1; }},
      {"`a b` in a path is no name", [](Module &m, Function &) { m.paths[1][0].function = "a b"; }},
      {"`step`: `%c` (constant): its data have 4 bytes, not 8",
       [](Module &, Function &f) {
         Tensor data = *named(f, "c").data;
         data.bytes.resize(4);
         named(f, "c").data = std::make_shared<const Tensor>(data);
       }},
      {"`step`: `%c` (constant): a constant has no operands", [](Module &, Function &f) { named(f, "c").operands = {{0, 0}}; }},
      {"`step`: `%c` (constant): steps belong to scans only", [](Module &, Function &f) { named(f, "c").scan.steps = 3; }},
      {"`step`: `%w` (arg): an argument has no operands", [](Module &, Function &f) { f.nodes[1].operands = {{0, 0}}; }},
      {"`step`: `%w.next` (fused): result 1 is f32, the body gives f32[2]",
       [&](Module &, Function &f) { named(f, "w.next").types = {scalar}; }},
      {"`step`: `%w.next` (scan): 2 carries and 0 slices of 1 arguments",
       [](Module &, Function &f) { make_scan(f, {.steps = 2, .carries = 2}); }},
      {"`step`: `%w.next` (scan): operand 1 is f32[2], the body's argument takes f32[2,2]",
       [](Module &, Function &f) { make_scan(f, {.steps = 2, .slices = 1}); }},
      {"`step`: `%w.next` (scan): it has 0 steps", [](Module &, Function &f) { make_scan(f, {.steps = 0, .carries = 1}); }},
      {"`step`: there are fewer nodes than arguments", [](Module &, Function &f) { f.args = 99; }},
      {"`step`: a function's results are its function_results", [](Module &, Function &f) { f.results = {{0, 0}}; }},
      {"two functions are called `step`", [](Module &m, Function &f) { m.functions.push_back(Function(f)); }},
  };
  for (const Case &one : cases) {
    Module module = sound();
    one.damage(module, module.functions[0]);
    EXPECT_EQ(verify(module), one.violation);
  }
}

} // namespace
} // namespace nnc

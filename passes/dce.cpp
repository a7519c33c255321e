// dce: what no result needs is left out.
//
//   func f(%x: f32[8] input) -> (y = %y) {         func f(%x: f32[8] input) -> (y = %y) {
//     %y = mul(%x, %x) : f32[8]                      %y = mul(%x, %x) : f32[8]
//     %d = exp(%x) : f32[8]                  =>    }
//   }
//
// Results of every kind count, checks too. Inputs are the signature of the C function and stay; a state goes when it is neither
// read nor written. Writing a state's own value back is no write.
#include "passes/passes.h"
#include "passes/rewriter.h"

#include <algorithm>

namespace nnc {

bool dce(Function &function, PassContext &) {
  const size_t results_before = function.function_results.size();
  std::erase_if(function.function_results, [&](const Result &result) {
    return result.kind == Result::Kind::state && result.value.node < function.args &&
           function.arg_info[result.value.node].state == result.state;
  });
  bool changed = function.function_results.size() != results_before;

  std::vector<bool> live(function.nodes.size());
  for (const Result &result : function.function_results)
    live[result.value.node] = true;
  for (int i = static_cast<int>(function.nodes.size()) - 1; i >= 0; --i)
    if (live[i])
      for (Value operand : function.nodes[i].operands)
        live[operand.node] = true;
  for (int i = 0; i < function.args; ++i) {
    const int state = function.arg_info[i].state;
    live[i] = live[i] || state < 0 ||
              std::ranges::any_of(
                  function.function_results,
                  [&](const Result &result) { return result.kind == Result::Kind::state && result.state == state; });
  }

  Rewriter rewriter(function);
  for (int i = 0; i < rewriter.size(); ++i)
    if (live[i])
      rewriter.keep(i);
    else
      changed = true;
  rewriter.finish();
  return changed;
}

} // namespace nnc

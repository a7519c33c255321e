// dce: what no result needs is left out.
//
//   func f(%x: f32[8] input) -> (y = %y) {         func f(%x: f32[8] input) -> (y = %y) {
//     %y = mul(%x, %x) : f32[8]                      %y = mul(%x, %x) : f32[8]
//     %d = exp(%x) : f32[8]                  =>    }
//   }
//
// In a loop too: a carry that only it itself needs goes, a stack that nobody reads, an argument that has lost its readers; a
// carry that no step changes becomes the value it starts with. Results of every kind count, checks too. Inputs are the signature
// of the C function and stay; a state goes when it is neither read nor written. Writing a state's own value back is no write.
#include "passes/loop.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

#include <algorithm>
#include <map>

namespace nnc {

namespace {

void keep(Rewriter &rewriter, int i, NarrowScan &narrow) {
  const std::vector<Value> starts = rewriter.old(i).operands;
  for (Value &operand : narrow.node.operands)
    operand = rewriter[operand];
  const int id = narrow.node.types.empty() ? -1 : rewriter.keep(i, std::move(narrow.node)).node;
  for (int r = 0; r < static_cast<int>(narrow.result.size()); ++r)
    rewriter.replace({i, r}, narrow.result[r] >= 0    ? Value{id, narrow.result[r]}
                             : narrow.result[r] == -2 ? rewriter[starts[r]]
                                                      : Value{});
}

} // namespace

bool dce(Function &function, PassContext &) {
  const size_t results_before = function.function_results.size();
  std::erase_if(function.function_results, [&](const Result &result) {
    return result.kind == Result::Kind::state && result.value.node < function.args &&
           function.arg_info[result.value.node].state == result.state;
  });
  bool changed = function.function_results.size() != results_before;

  std::vector<bool> live(function.nodes.size());
  std::map<int, std::vector<bool>> wanted; // of live scans: which results
  const auto want = [&](Value value) {
    live[value.node] = true;
    if (const Node &node = function.node(value); node.op == Op::scan)
      wanted.try_emplace(value.node, node.types.size()).first->second[value.index] = true;
  };
  std::map<int, NarrowScan> scans;
  for (const Result &result : function.function_results)
    want(result.value);
  for (int i = static_cast<int>(function.nodes.size()) - 1; i >= 0; --i) {
    if (!live[i])
      continue;
    const Node &node = function.nodes[i];
    if (node.op != Op::scan) {
      std::ranges::for_each(node.operands, want);
      continue;
    }
    const NarrowScan &narrow = scans.emplace(i, narrowed(node, wanted[i])).first->second;
    std::ranges::for_each(narrow.node.operands, want);
    for (size_t r = 0; r < narrow.result.size(); ++r)
      if (narrow.result[r] == -2 && wanted[i][r])
        want(node.operands[r]);
    changed |= narrow.node.types.size() != node.types.size() || narrow.node.operands.size() != node.operands.size();
  }
  for (int i = 0; i < function.args; ++i) {
    const int state = function.arg_info[i].state;
    live[i] = live[i] || state < 0 ||
              std::ranges::any_of(
                  function.function_results,
                  [&](const Result &result) { return result.kind == Result::Kind::state && result.state == state; });
  }

  Rewriter rewriter(function);
  for (int i = 0; i < rewriter.size(); ++i)
    if (!live[i])
      changed = true;
    else if (auto scan = scans.find(i); scan != scans.end())
      keep(rewriter, i, scan->second);
    else
      rewriter.keep(i);
  rewriter.finish();
  return changed;
}

} // namespace nnc

// What passes do to bodies of scans as a whole. A body taken out as a function is not one of the module: it has no name of its
// own and its results have none.
#include "passes/loop.h"

#include <algorithm>

namespace nnc {

bool has_scan(const Region &region) {
  return std::ranges::any_of(region.nodes, [](const Node &node) { return node.op == Op::scan; });
}

Function body_function(const Node &scan, bool carries_as_states) {
  Function function;
  static_cast<Region &>(function) = *scan.body;
  function.results.clear();
  function.name = scan.label().empty() ? "scan" : scan.label();
  function.loc = scan.loc;
  function.arg_info.resize(function.args);
  for (int i = 0; i < static_cast<int>(scan.body->results.size()); ++i) {
    Result result{.name = "", .value = scan.body->results[i], .loc = scan.loc};
    if (carries_as_states && i < scan.scan.carries) {
      result.kind = Result::Kind::state;
      function.arg_info[i].state = result.state = i;
    }
    function.function_results.push_back(std::move(result));
  }
  return function;
}

std::shared_ptr<const Region> function_body(Function function) {
  for (const Result &result : function.function_results)
    function.results.push_back(result.value);
  return std::make_shared<const Region>(std::move(static_cast<Region &>(function)));
}

NarrowScan narrowed(const Node &scan, const std::vector<bool> &wanted) {
  const Region &body = *scan.body;
  const ScanInfo &info = scan.scan;
  NarrowScan narrow;
  narrow.node = scan;
  narrow.result.assign(wanted.size(), -1);
  std::vector<bool> kept = wanted;
  const auto idle = [&](int i) { return i < info.carries && body.results[i] == Value{i, 0}; };
  std::vector<Value> results;
  std::vector<bool> live;
  for (bool changed = true; changed;) {
    changed = false;
    results.clear();
    for (int r = 0; r < static_cast<int>(kept.size()); ++r)
      if (kept[r] && !idle(r))
        results.push_back(body.results[r]);
    live = reached(body, results);
    for (int i = 0; i < info.carries; ++i)
      if (live[i] && !kept[i] && !idle(i))
        kept[i] = changed = true;
  }
  Node &node = narrow.node;
  std::vector<Value> args;
  node.operands.clear();
  node.types.clear();
  node.names.clear();
  node.scan.carries = node.scan.slices = 0;
  const auto pass = [&](int arg) {
    args.push_back({arg, 0});
    node.operands.push_back(scan.operands[arg]);
  };
  for (int i = 0; i < info.carries; ++i)
    if (kept[i] && !idle(i)) {
      pass(i);
      ++node.scan.carries;
    }
  for (int i = info.carries; i < info.carries + info.slices; ++i)
    if (live[i]) {
      pass(i);
      ++node.scan.slices;
    }
  for (int i = 0; i < body.args; ++i)
    if (live[i] && (i >= info.carries + info.slices || idle(i)))
      pass(i);
  for (int r = 0; r < static_cast<int>(kept.size()); ++r)
    if (idle(r)) {
      narrow.result[r] = -2;
    } else if (kept[r]) {
      narrow.result[r] = static_cast<int>(node.types.size());
      node.types.push_back(scan.types[r]);
      node.names.push_back(scan.names[r]);
    }
  if (args.size() != scan.operands.size() || results.size() != kept.size())
    node.body = std::make_shared<const Region>(extract(body, args, results));
  return narrow;
}

} // namespace nnc

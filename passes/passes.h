// Passes: how the frontend's IR becomes what is planned. A pass is a plain function on one function of a module; its row in
// the table of pass_manager.cpp is its only registration.
#pragma once

#include "ir/denormals.h"
#include "ir/function.h"

#include <cstdint>
#include <iosfwd>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nnc {

#ifdef NNC_CHECKS
inline constexpr bool verify_each_by_default = true;
#else
inline constexpr bool verify_each_by_default = false;
#endif

// --check: what an entry finds out about itself while it runs.
struct Checks {
  bool nan = false;    // the first op that makes NaN or infinity of operands that have none
  bool bounds = false; // places beyond an end
  bool any() const { return nan || bounds; }
};

// The flags of the driver that concern passes; docs/passes.md describes them.
struct PassOptions {
  std::vector<std::string> passes = {};         // --passes=a,b,c: these in this order; empty: the default pipeline
  std::vector<std::string> disable = {};        // --disable=NAME: passes and rules that are left out
  std::string dump = {};                        // --dump=changed|all|PASS: print the module after these passes
  std::string dump_dir = {};                    // --dump-dir=D: a file for each dump; "": to `log`
  bool time = false;                            // --time: a line for each pass on `log`
  bool verify_each = verify_each_by_default;    // --verify-each: check the module after each pass
  int64_t bisect = -1;                          // --bisect=N: only the first N optional changes; below 0: all
  std::string repro_dir = {};                   // --repro=D: where a .nnir is written when a pass crashes or a check fails
  std::ostream *log = nullptr;                  // nullptr: standard error
  std::vector<std::string> *refusals = nullptr; // receives a line for every merge that fuse refused, with the reason
  Checks checks = {};                           // --check: what the pass `check` looks for
  Denormals denormals = Denormals::flush;       // --denormals: as constants are computed
};

// What a pass sees beside its function.
class PassContext {
public:
  PassContext(const Module &module, const PassOptions &options) : module(module), options_(options) {}

  const Module &module; // files, paths and states: for messages

  const Checks &checks() const { return options_.checks; }
  Denormals denormals() const { return options_.denormals; }
  bool disabled(std::string_view name) const;
  // True when the budget of --bisect is used up: nothing optional may change any more.
  bool exhausted() const { return options_.bisect >= 0 && changes_ >= options_.bisect; }
  // Asked before an optional change: a pass run on a function, a rule applied at a value, a merge of two groups. Counts it,
  // or answers false: then it must not be made.
  bool allow(std::string_view what, std::string_view where);

  void note_refusal(const std::string &line) {
    if (options_.refusals)
      options_.refusals->push_back(line);
  }

  int64_t changes() const { return changes_; }
  const std::string &last_change() const { return last_change_; }

private:
  const PassOptions &options_;
  int64_t changes_ = 0;
  std::string last_change_;
};

// True if the function changed.
using PassFunction = bool (*)(Function &, PassContext &);

bool grad(Function &function, PassContext &context);
bool simplify(Function &function, PassContext &context);
bool fold(Function &function, PassContext &context);
bool expand(Function &function, PassContext &context);
bool unwindow(Function &function, PassContext &context);
bool cse(Function &function, PassContext &context);
bool muladd(Function &function, PassContext &context);
bool dce(Function &function, PassContext &context);
bool hoist(Function &function, PassContext &context);
bool sink(Function &function, PassContext &context);
bool fuse(Function &function, PassContext &context);
bool check(Function &function, PassContext &context);

struct Pass {
  std::string_view name;
  PassFunction run;
  bool optional; // without it the module means the same and can be planned: --disable and --bisect may leave it out
  std::string_view help;
  bool with_loops = false; // does the bodies of loops itself, with the function around them
};

std::span<const Pass> all_passes();
std::span<const std::string_view> default_pipeline();

// Runs the pipeline on the module, pass by pass. Throws Error for a mistake in the model, an unknown name in the options, and
// a pass that broke the module.
void run_passes(Module &module, const PassOptions &options = {});
// The same with these passes; `options.passes` is not looked at.
void run_pipeline(Module &module, std::span<const Pass> pipeline, const PassOptions &options = {});

} // namespace nnc

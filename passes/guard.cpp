// Guards in a plan: one block of bools at the end of every workspace, a kernel that sets it, and checks behind the calls. The
// kernels themselves are code generation's affair. Assumes a plan that verify_plan accepts.
#include "passes/guard.h"

#include "ir/builder.h"
#include "ir/guard.h"
#include "passes/form.h"

#include <fmt/format.h>

namespace nnc {

namespace {

// The names of a step's args.
std::vector<std::string> names_of(const Step &step) {
  std::vector<std::string> names;
  size_t begin = 0;
  for (size_t i = 0; i < step.args.size(); ++i) {
    const size_t end = std::min(step.note.find(' ', begin), step.note.size());
    names.push_back(fmt::format("`{}`", step.note.substr(begin, end - begin)));
    begin = std::min(end + 1, step.note.size());
  }
  return names;
}

// Writes true to all guards.
Kernel fill_kernel(int64_t count) {
  Region region;
  Builder builder(region);
  const Value yes = builder.constant_int({DType::boolean, {count}}, 1);
  return copy_kernel(region, yes, 0, {1});
}

class EntryGuards {
public:
  EntryGuards(Plan &plan, PlanEntry &entry, int fill) : plan_(plan), entry_(entry), fill_(fill) {}

  void run() {
    const std::vector<Step> old = std::move(entry_.steps);
    block_.offset = aligned(entry_.workspace_bytes);
    block_.bytes = plan_.kernels[fill_].pointers[0].elements;
    entry_.workspace_bytes = block_.offset + block_.bytes;
    entry_.steps.clear();
    Step fill;
    fill.kernel = fill_;
    fill.args = {block_};
    fill.note = "guards";
    entry_.steps.push_back(std::move(fill));
    add(old);
  }

private:
  Plan &plan_;
  PlanEntry &entry_;
  const int fill_;
  Ref block_;

  void add(std::span<const Step> steps) {
    for (size_t s = 0; s < steps.size(); ++s) {
      const size_t at = entry_.steps.size();
      entry_.steps.push_back(steps[s]);
      if (steps[s].trips > 0) {
        const size_t inside = static_cast<size_t>(steps[s].inside);
        add(steps.subspan(s + 1, inside));
        s += inside;
        entry_.steps[at].inside = static_cast<int>(entry_.steps.size() - at - 1);
      } else if (steps[s].kernel >= 0) {
        entry_.steps[at].args.push_back(block_);
        entry_.steps[at].note += " guards";
        add_checks(steps[s]);
      }
    }
  }

  void add_checks(const Step &call) {
    const Kernel &kernel = plan_.kernels[call.kernel];
    std::vector<std::string> names = names_of(call);
    std::string computed;
    for (size_t p = 0; p < names.size(); ++p)
      if (kernel.pointers[p].written)
        computed += (computed.empty() ? "" : ", ") + names[p];
    names.push_back("its scratch slot");
    const std::string place =
        call.loc.line ? fmt::format(" at {}:{}:{}", plan_.files[call.loc.file], call.loc.line, call.loc.column) : "";
    for (size_t p = 0; p < names.size(); ++p)
      for (const bool is_store : {false, true}) {
        Step check;
        check.check = static_cast<int>(entry_.checks.size());
        check.args = {block_};
        check.args[0].offset += guard_index(p, is_store);
        check.args[0].bytes = 1;
        check.note = "guards";
        check.loc = call.loc;
        entry_.steps.push_back(std::move(check));
        entry_.checks.push_back(
            {fmt::format("kernel k{}, which computes {}{}, would {} outside of {}, {} bytes: a defect of the compiler; state and "
                         "results may be written in part",
                         call.kernel, computed, place, is_store ? "store" : "load", names[p], guarded_bytes(kernel, p)),
             call.loc});
      }
  }
};

} // namespace

void add_guards(Plan &plan) {
  size_t most = 0;
  for (Kernel &kernel : plan.kernels) {
    most = std::max(most, kernel.pointers.size());
    KernelPointer &guards = kernel.pointers.emplace_back();
    guards.dtype = DType::boolean;
    guards.written = true;
  }
  const int fill = static_cast<int>(plan.kernels.size());
  plan.kernels.push_back(fill_kernel(guard_index(most + 1, false)));
  for (PlanEntry &entry : plan.entries)
    EntryGuards(plan, entry, fill).run();
}

} // namespace nnc

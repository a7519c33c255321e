// What an artefact consists of: a unit for each kernel and target, one with the entries, and memcpy and its like where something
// needs them. Then every symbol must be defined: an artefact has no libc or libm behind it.
#include "codegen/compile.h"

#include "codegen/builtins.h"
#include "codegen/debug_info.h"
#include "codegen/entry.h"
#include "codegen/processor.h"
#include "ir/error.h"
#include "ir/guard.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <algorithm>
#include <optional>
#include <set>

namespace nnc {
namespace {

// The plan without the constants that only kernels read which hold them packed, on every target; their addresses are those of
// something else then.
Plan without_packed_constants(const Plan &plan, std::span<const Target> targets) {
  const auto is_held = [&](const Kernel &kernel, size_t pointer) {
    return std::ranges::all_of(targets, [&](const Target &target) { return holds_constant(kernel, pointer, target); });
  };
  const auto piece = [&](const Ref &ref) {
    return std::ranges::upper_bound(plan.constant_starts, ref.offset) - plan.constant_starts.begin() - 1;
  };
  std::vector<bool> needed(plan.constant_starts.size());
  Plan result = plan;
  std::vector<Ref *> refs;
  for (PlanEntry &entry : result.entries)
    for (Step &step : entry.steps)
      for (size_t i = 0; i < step.args.size(); ++i) {
        if (step.args[i].space != Ref::Space::constant)
          continue;
        if (step.kernel >= 0 && is_held(plan.kernels[step.kernel], i)) {
          step.args[i] = {Ref::Space::workspace, 0, 0, 0};
          continue;
        }
        needed[piece(step.args[i])] = true;
        refs.push_back(&step.args[i]);
      }
  std::vector<int64_t> moved;
  result.constants.clear();
  for (size_t i = 0; i < needed.size(); ++i) {
    const auto end = i + 1 < needed.size() ? plan.constants.begin() + plan.constant_starts[i + 1] : plan.constants.end();
    moved.push_back(static_cast<int64_t>(result.constants.size()) - plan.constant_starts[i]);
    if (needed[i])
      result.constants.insert(result.constants.end(), plan.constants.begin() + plan.constant_starts[i], end);
  }
  for (Ref *ref : refs)
    ref->offset += moved[piece(*ref)];
  result.constant_starts.clear();
  return result;
}

struct Units {
  std::unique_ptr<Plan> plan;   // what of it goes into the artefact
  std::unique_ptr<Target> base; // the least processor of the architecture
  std::vector<CodeUnit> list;
};

std::optional<DebugInfo> debug_info(llvm::Module &module, const Plan &plan, const ArtefactOptions &options) {
  if (!options.debug_info)
    return std::nullopt;
  return std::optional<DebugInfo>(std::in_place, module, plan);
}

ArtefactNames names_for(const Plan &plan, std::span<const Target> targets, const ArtefactOptions &options) {
  std::vector<std::string> cpus;
  for (const Target &target : targets)
    cpus.push_back(target.name);
  return artefact_names(plan, options.name, cpus);
}

// Kernels refer to `whole`, which must stay; so must the names, targets and options.
Units make_units(const Plan &whole, const ArtefactNames &names, std::span<const Target> targets, const ArtefactOptions &options) {
  Units units;
  units.plan = std::make_unique<Plan>(without_packed_constants(whole, targets));
  ArtefactFacts facts = {options.source_hash,
                         "nnc " NNC_VERSION,
                         targets[0].triple,
                         fmt::format("{}", fmt::join(names.variants, ",")),
                         options.flags,
                         options.identity,
                         {}};
  units.base = std::make_unique<Target>(make_target("generic", facts.triple));
  units.base->denormals = targets[0].denormals;
  for (size_t v = 0; v < targets.size(); v++) {
    const Target &target = targets[v];
    facts.variants.push_back({target.name, required_isa(*create_machine(target))});
    for (size_t i = 0; i < whole.kernels.size(); i++) {
      std::string name = names.kernel(i, v);
      units.list.push_back({name, &target,
                            [&whole, &target, &options, name, i](llvm::Module &module) {
                              std::optional<DebugInfo> debug = debug_info(module, whole, options);
                              const Kernel &kernel = whole.kernels[i];
                              if (options.emit)
                                options.emit(kernel, name, module, target);
                              else
                                emit_kernel(kernel, name, module, target, debug ? &*debug : nullptr);
                              if (!options.emit && has_guards(kernel))
                                guard_kernel(*module.getFunction(name), kernel);
                              if (debug)
                                debug->finish();
                            },
                            /*glue=*/false});
    }
  }
  const Target *base = units.base.get();
  units.list.push_back({names.internal("entries"), base,
                        [plan = units.plan.get(), &names, &options, facts, base](llvm::Module &module) {
                          std::optional<DebugInfo> debug = debug_info(module, *plan, options);
                          emit_entries(module, *plan, names, facts, *base, debug ? &*debug : nullptr);
                          if (debug)
                            debug->finish();
                        },
                        /*glue=*/true});
  return units;
}

// Adds the builtins if an object refers to them. Any other symbol that no object defines is a mistake of the code that emits
// kernels, found here and not by a user's linker.
void close(Artefact &artefact, const ArtefactNames &names, const Target &base) {
  std::set<std::string> defined;
  for (const ObjectFile &object : artefact.objects)
    defined.insert(object.name); // a kernel's symbol is the name of its object
  bool need_builtins = false;
  for (const ObjectFile &object : artefact.objects)
    for (const std::string &symbol : undefined_symbols(object.bytes)) {
      if (is_builtin(symbol))
        need_builtins = true;
      else if (!defined.contains(symbol))
        throw Error(fmt::format("internal error: `{}` calls `{}`, which an artefact does not have", object.name, symbol));
    }
  if (need_builtins) {
    const CodeUnit unit = {names.internal("builtins"), &base, [&base](llvm::Module &module) { emit_builtins(module, base); },
                           /*glue=*/false};
    artefact.objects.push_back({unit.name, generate_code({&unit, 1}, CodeForm::object, 1)[0]});
  }
}

} // namespace

Artefact compile_plan(const Plan &plan, std::span<const Target> targets, const ArtefactOptions &options) {
  const ArtefactNames names = names_for(plan, targets, options);
  const Units units = make_units(plan, names, targets, options);
  std::vector<std::string> code = generate_code(units.list, CodeForm::object, options.threads);
  Artefact artefact;
  artefact.model = names.model;
  artefact.info = names.info;
  artefact.debug_info = options.debug_info;
  for (size_t i = 0; i < code.size(); i++)
    artefact.objects.push_back({units.list[i].name, std::move(code[i])});
  for (size_t i = 0; i < targets.size() * plan.kernels.size(); i++)
    artefact.objects[i].label = kernel_label(plan, plan.kernels[i % plan.kernels.size()], artefact.objects[i].name);
  close(artefact, names, *units.base);
  return artefact;
}

std::string code_text(const Plan &plan, std::span<const Target> targets, CodeForm form, const ArtefactOptions &options) {
  const ArtefactNames names = names_for(plan, targets, options);
  const Units units = make_units(plan, names, targets, options);
  const std::vector<std::string> code = generate_code(units.list, form, options.threads);
  const char *comment = form == CodeForm::assembly ? "#" : ";";
  std::string text;
  for (size_t i = 0; i < code.size(); i++)
    text += fmt::format("{}{} {}\n{}", i ? "\n" : "", comment, units.list[i].name, code[i]);
  return text;
}

} // namespace nnc

// What an artefact consists of: a unit for each kernel, one with the entries, and memcpy and its like where something needs
// them. Then every symbol must be defined: an artefact has no libc or libm behind it.
#include "codegen/compile.h"

#include "codegen/builtins.h"
#include "codegen/debug_info.h"
#include "codegen/entry.h"
#include "codegen/processor.h"
#include "ir/error.h"

#include <fmt/format.h>
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <optional>
#include <set>

namespace nnc {
namespace {

struct Units {
  std::unique_ptr<Target> base; // the least processor of the architecture
  std::vector<CodeUnit> list;
};

std::optional<DebugInfo> debug_info(llvm::Module &module, const Plan &plan, const ArtefactOptions &options) {
  if (!options.debug_info)
    return std::nullopt;
  return std::optional<DebugInfo>(std::in_place, module, plan);
}

Units make_units(const Plan &plan, const ArtefactNames &names, const Target &target, const ArtefactOptions &options) {
  Units units;
  units.base = std::make_unique<Target>(make_target("generic", target.triple));
  for (size_t i = 0; i < plan.kernels.size(); i++) {
    std::string name = names.kernel(i);
    units.list.push_back({name, &target,
                          [&plan, &target, &options, name, i](llvm::Module &module) {
                            std::optional<DebugInfo> debug = debug_info(module, plan, options);
                            if (options.emit)
                              options.emit(plan.kernels[i], name, module, target);
                            else
                              emit_kernel(plan.kernels[i], name, module, target, debug ? &*debug : nullptr);
                            if (debug)
                              debug->finish();
                          },
                          /*glue=*/false});
  }
  const uint64_t required = required_isa(*create_machine(target));
  const ArtefactFacts facts = {options.source_hash, "nnc " NNC_VERSION, target.triple, target.name};
  const Target *base = units.base.get();
  units.list.push_back({names.internal("entries"), base,
                        [&plan, &names, &options, facts, base, required](llvm::Module &module) {
                          std::optional<DebugInfo> debug = debug_info(module, plan, options);
                          emit_entries(module, plan, names, facts, *base, required, debug ? &*debug : nullptr);
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

Artefact compile_plan(const Plan &plan, const Target &target, const ArtefactOptions &options) {
  const ArtefactNames names = artefact_names(plan);
  const Units units = make_units(plan, names, target, options);
  std::vector<std::string> code = generate_code(units.list, CodeForm::object, options.threads);
  Artefact artefact;
  artefact.model = names.model;
  artefact.info = names.info;
  artefact.debug_info = options.debug_info;
  for (size_t i = 0; i < code.size(); i++)
    artefact.objects.push_back({units.list[i].name, std::move(code[i])});
  for (size_t i = 0; i < plan.kernels.size(); i++)
    artefact.objects[i].label = kernel_label(plan, plan.kernels[i], names.kernel(i));
  close(artefact, names, *units.base);
  return artefact;
}

std::string code_text(const Plan &plan, const Target &target, CodeForm form, const ArtefactOptions &options) {
  const ArtefactNames names = artefact_names(plan);
  const Units units = make_units(plan, names, target, options);
  const std::vector<std::string> code = generate_code(units.list, form, options.threads);
  const char *comment = form == CodeForm::assembly ? "#" : ";";
  std::string text;
  for (size_t i = 0; i < code.size(); i++)
    text += fmt::format("{}{} {}\n{}", i ? "\n" : "", comment, units.list[i].name, code[i]);
  return text;
}

} // namespace nnc

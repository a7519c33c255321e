// A plan as text: the state block, every entry step by step, then the kernels. One line a step, so that goldens and people can
// count calls and bytes. Addresses are bytes: `%h@4096` is at byte 4096 of the workspace, `!` marks what is changed in place.
#include "ir/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace nnc {

namespace {

constexpr size_t recipe_column = 60; // of a step's line, where the operands leave room

// "210 MFLOP": three digits and a unit of thousands.
std::string amount(double number, std::string_view unit) {
  static constexpr const char *prefixes[] = {"", "k", "M", "G", "T", "P"};
  size_t power = 0;
  while (number >= 999.5 && power + 1 < std::size(prefixes))
    number /= 1000, ++power;
  return fmt::format("{:.3g} {}{}", number, prefixes[power], unit);
}

std::string counted(size_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

std::vector<std::string> words(const std::string &text) {
  std::vector<std::string> result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    if (end > at)
      result.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return result;
}

// What a step's arg is called where the step does not say.
std::string place_name(const Plan &plan, const PlanEntry &entry, const Ref &ref) {
  switch (ref.space) {
  case Ref::Space::input:
    return entry.inputs[ref.index].name;
  case Ref::Space::output:
    return entry.outputs[ref.index].name;
  case Ref::Space::state:
    for (const PlanState &state : plan.states)
      if (ref.offset >= state.offset && ref.offset < state.offset + state.state.type.bytes())
        return state.state.path;
    return fmt::format("state+{}", ref.offset);
  case Ref::Space::workspace:
    return fmt::format("@{}", ref.offset);
  case Ref::Space::constant:
    return fmt::format("constant+{}", ref.offset);
  }
  return "";
}

// "4096", in loops "4096+512i": i counts the trips of the outermost.
std::string offset_text(const Ref &ref) {
  std::string text = fmt::format("{}", ref.offset);
  for (size_t loop = 0; loop < ref.strides.size(); ++loop)
    if (ref.strides[loop] != 0)
      text += fmt::format("{:+}{}", ref.strides[loop], static_cast<char>('i' + loop % 18));
  return text;
}

// Lines are indented by `indent` more than at the top.
std::string step_text(const Plan &plan, const PlanEntry &entry, const Step &step, size_t indent) {
  if (step.trips > 0)
    return fmt::format("{:{}}  loop   {} trips of {}\n", "", indent, step.trips, counted(step.inside, "step"));
  std::vector<std::string> names = words(step.note);
  names.resize(step.args.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const bool is_number = names[i].find_first_not_of("0123456789") == std::string::npos; // or there is none
    if (is_number && (names[i].empty() || step.args[i].space != Ref::Space::workspace))
      names[i] = place_name(plan, entry, step.args[i]);
    names[i] = "%" + names[i];
  }
  const auto at = [&](size_t i) {
    const bool at_offset = step.args[i].space == Ref::Space::workspace && names[i][1] != '@';
    return at_offset ? fmt::format("{}@{}", names[i], offset_text(step.args[i])) : names[i];
  };
  if (step.kernel < 0)
    return fmt::format("{:{}}  check  {:<{}} {}\n", "", indent, at(0), recipe_column - 8, entry.checks[step.check].message);
  const Kernel &kernel = plan.kernels[step.kernel];
  std::vector<std::string> operands, results;
  for (size_t i = 0; i < step.args.size(); ++i) {
    const KernelPointer &pointer = kernel.pointers[i];
    if (pointer.read)
      operands.push_back(names[i] + (pointer.written ? "!" : ""));
    else
      results.push_back(at(i));
  }
  std::string call = fmt::format("k{}({})", step.kernel, fmt::join(operands, ", "));
  if (!results.empty())
    call += fmt::format(" -> {}", fmt::join(results, ", "));
  return fmt::format("{:{}}  call   {:<{}} {:<7}  {}\n", "", indent, call, recipe_column - 8, recipe_name(kernel.recipe),
                     kernel_summary(kernel));
}

std::string types_text(const std::vector<PlanValue> &values) {
  std::vector<std::string> texts;
  for (const PlanValue &value : values)
    texts.push_back(fmt::format("%{}: {}", value.name, type_text(value.type)));
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string entry_text(const Plan &plan, const PlanEntry &entry) {
  std::set<int> kernels;
  for (const Step &step : entry.steps)
    if (step.kernel >= 0)
      kernels.insert(step.kernel);
  std::string text = fmt::format("plan {}({}) -> ({})\n", entry.name, types_text(entry.inputs), types_text(entry.outputs));
  text += fmt::format("  workspace {} bytes + {} a thread   {}, {}   {}   {} moved\n", entry.workspace_bytes, entry.slot_bytes,
                      counted(entry.steps.size(), "step"), counted(kernels.size(), "kernel"), amount(entry.flop, "FLOP"),
                      amount(entry.bytes, "B"));
  std::vector<size_t> ends; // of the loops around the step
  for (size_t s = 0; s < entry.steps.size(); ++s) {
    while (!ends.empty() && ends.back() == s)
      ends.pop_back();
    text += step_text(plan, entry, entry.steps[s], 2 * ends.size());
    if (entry.steps[s].trips > 0)
      ends.push_back(s + 1 + entry.steps[s].inside);
  }
  return text;
}

} // namespace

std::string plan_text(const Plan &plan) {
  std::string text = fmt::format("state {} bytes, constants {} bytes\n", plan.state_bytes, plan.constants.size());
  for (const PlanState &state : plan.states)
    text += fmt::format("  {:<10} {:<40} {}{}\n", fmt::format("@{}", state.offset), state.state.path, type_text(state.state.type),
                        state.state.trained ? " trained" : "");
  for (const PlanEntry &entry : plan.entries)
    text += "\n" + entry_text(plan, entry);
  text += "\n";
  for (size_t k = 0; k < plan.kernels.size(); ++k)
    text += fmt::format("k{:<3} {}", k, kernel_text(plan.kernels[k]));
  return text;
}

} // namespace nnc

// Kernels as text. The readable form is one line a stage: what a person wants to know of a kernel beside the source it came
// from. The identity form is one line a field that codegen reads, and no names: it decides which kernels are one function.
// Both take any kernel that is well formed (operands before users); nothing is evaluated or checked here.
#include "ir/kernel.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <functional>

#include <algorithm>
#include <bit>

namespace nnc {

namespace {

constexpr size_t longest_expression = 64; // characters; a longer one is broken up at its operands
constexpr size_t longest_line = 116;
constexpr size_t longest_summary = 72;

// How tightly an operator binds, as in .nn.
enum Precedence { loose, logical_or, logical_and, logical_not, comparison, sum, product, sign, atom };

struct Text {
  std::string text;
  Precedence precedence = atom;
};

std::string in(const Text &text, Precedence least) { return text.precedence < least ? "(" + text.text + ")" : text.text; }

struct Infix {
  std::string_view sign;
  Precedence precedence;
};

std::optional<Infix> infix(Op op) {
  switch (op) {
  case Op::add:
    return Infix{"+", sum};
  case Op::sub:
    return Infix{"-", sum};
  case Op::mul:
    return Infix{"*", product};
  case Op::div:
    return Infix{"/", product};
  case Op::rem:
    return Infix{"%", product};
  case Op::eq:
    return Infix{"==", comparison};
  case Op::lt:
    return Infix{"<", comparison};
  case Op::logical_and:
    return Infix{"and", logical_and};
  case Op::logical_or:
    return Infix{"or", logical_or};
  default:
    return std::nullopt;
  }
}

std::string number_text(const KernelNode &node) {
  if (node.dtype == DType::f64)
    return fmt::format("{}", node.number);
  if (is_float(node.dtype))
    return fmt::format("{}", static_cast<float>(node.number));
  if (is_bool(node.dtype))
    return node.integer != 0 ? "true" : "false";
  return fmt::format("{}", node.integer);
}

bool is_leaf(Op op) { return op == Op::arg || op == Op::constant || op == Op::iota; }
bool sweeps(Op op) { return is_reduce(op) || op == Op::dot; }

class Printer {
public:
  // `brief`: no places of elements, dots as a word, everything in one expression.
  Printer(const Kernel &kernel, bool brief) : kernel(kernel), brief(brief) {
    name_axes();
    name_nodes();
  }

  std::string header() const {
    std::string text = fmt::format("{:<7}", recipe_name(kernel.recipe));
    for (int a = 0; a < static_cast<int>(kernel.axes.size()); ++a) {
      text += fmt::format(" {}{}:{}", a == kernel.rows ? "| " : "", axes[a], kernel.axes[a].size);
      if (const int only = kernel.axes[a].only; only >= 0)
        text += fmt::format(" at {}", operand(only).text);
    }
    if (kernel.axes.empty())
      text += " one point";
    if (kernel.vector_axis >= 0)
      text += fmt::format("   vector {}", axes[kernel.vector_axis]);
    text += fmt::format("   grains {}", kernel.grains);
    if (kernel.grains > 1)
      text += fmt::format(" of {}", axes[kernel.grain_axis]);
    if (kernel.scratch_bytes > 0)
      text += fmt::format("   scratch {} bytes", kernel.scratch_bytes);
    return text;
  }

  std::string stages() const {
    std::vector<std::vector<std::string>> lines(std::max(kernel.stages, 1));
    const auto put = [&](int stage, std::string text) {
      if (stage >= static_cast<int>(lines.size()))
        lines.resize(stage + 1);
      lines[stage].push_back(std::move(text));
    };
    for (int i = 0; i < static_cast<int>(kernel.nodes.size()); ++i) {
      const KernelNode &node = kernel.nodes[i];
      if (!own_line[i])
        continue;
      const std::string value = expression(i).text + (node.home == Home::row ? " -> row" : "");
      const std::string partials = leaves_partials(kernel, node) ? fmt::format(" {} partials", kernel.grains) : "";
      std::string targets;
      for (const KernelRoot &root : kernel.roots)
        if (root.node == i)
          targets += (targets.empty() ? "" : ", ") + place(root.access);
      const int stage = sweep(node);
      if (targets.empty())
        put(stage, fmt::format("{} = {}", names[i], value));
      else if (is_leaf(node.op) || uses[i] == 0 || targets.substr(0, targets.find('[')) == "%" + names[i])
        put(stage, fmt::format("{} = {}{}", targets, value, partials));
      else
        put(stage, fmt::format("{} = {} -> {}{}", names[i], value, targets, partials));
    }
    std::string text;
    for (size_t s = 0; s < lines.size(); ++s) {
      std::string line = fmt::format("  s{:<4}", s);
      bool first = true;
      for (const std::string &item : lines[s]) {
        if (!first && line.size() + item.size() + 3 > longest_line) {
          text += line + "\n";
          line = std::string(7, ' ');
          first = true;
        }
        line += (first ? "" : "   ") + item;
        first = false;
      }
      text += line + "\n";
    }
    return text;
  }

  // The roots as expressions of the pointers, or "" where that would be long.
  std::string summary() const {
    std::string text;
    if (broken_up)
      return text;
    for (const KernelRoot &root : kernel.roots)
      text += (text.empty() ? "" : ", ") + expression(root.node).text;
    return text;
  }

private:
  const Kernel &kernel;
  bool brief;
  std::vector<std::string> axes;  // names
  std::vector<std::string> names; // of nodes
  std::vector<int> uses;
  std::vector<bool> own_line;
  bool broken_up = false; // some expression was too long for one line

  // Axes of a dot are named by role (b m n k), others r for rows and c for what is swept within a row; numbered where there
  // are several of one kind.
  void name_axes() {
    const size_t count = kernel.axes.size();
    std::vector<std::string> kinds(count);
    for (size_t a = 0; a < count; ++a)
      kinds[a] = kernel.axes[a].inner ? "c" : "r";
    const auto role = [&](const std::vector<int> &list, const char *name) {
      for (int a : list)
        kinds[a] = name;
    };
    role(kernel.dot_axes.batch, "b");
    role(kernel.dot_axes.m, "m");
    role(kernel.dot_axes.n, "n");
    role(kernel.dot_axes.k, "k");
    for (size_t a = 0; a < count; ++a) {
      const auto same = std::count(kinds.begin(), kinds.end(), kinds[a]);
      const auto before = std::count(kinds.begin(), kinds.begin() + a, kinds[a]);
      axes.push_back(same == 1 ? kinds[a] : fmt::format("{}{}", kinds[a], before));
    }
  }

  void name_nodes() {
    const size_t count = kernel.nodes.size();
    uses.assign(count, 0);
    own_line.assign(count, false);
    for (const KernelNode &node : kernel.nodes)
      for (int operand : node.operands)
        ++uses[operand];
    for (size_t i = 0; i < count; ++i) {
      const KernelNode &node = kernel.nodes[i];
      std::string name = node.name.empty() ? fmt::format("v{}", i) : node.name;
      if (!is_leaf(node.op) && std::find(names.begin(), names.end(), name) != names.end())
        name = fmt::format("{}.v{}", name, i);
      names.push_back(std::move(name));
    }
    if (!brief) {
      for (const KernelRoot &root : kernel.roots)
        own_line[root.node] = true;
      for (size_t i = 0; i < count; ++i) {
        const KernelNode &node = kernel.nodes[i];
        if (!is_leaf(node.op) && (sweeps(node.op) || node.home == Home::row || uses[i] > 1))
          own_line[i] = true;
      }
    }
    // In order, so that what is long already counts as a name in its users: an expression cannot grow beyond bounds.
    for (size_t i = 0; i < count; ++i)
      if (!is_leaf(kernel.nodes[i].op) && !own_line[i] && expression(i).text.size() > longest_expression)
        own_line[i] = broken_up = true;
  }

  std::string written_name(int pointer) const {
    for (const KernelRoot &root : kernel.roots)
      if (root.access.pointer == pointer && !is_leaf(kernel.nodes[root.node].op) && !kernel.nodes[root.node].name.empty())
        return "%" + kernel.nodes[root.node].name;
    return fmt::format("%p{}", pointer);
  }

  std::string read_name(int pointer) const {
    for (const KernelNode &node : kernel.nodes)
      if (node.op == Op::arg && node.access.pointer == pointer && !node.name.empty())
        return "%" + node.name;
    const std::string &name = kernel.pointers[pointer].name;
    return name.empty() ? fmt::format("%p{}", pointer) : "%" + name;
  }

  // An axis as a tensor in memory has it.
  struct Step {
    std::string index; // what counts along it: an axis of the kernel, or a value
    int64_t size, stride;
  };

  std::vector<Step> steps_of(const Access &access) const {
    std::vector<Step> steps;
    for (size_t a = 0; a < access.strides.size(); ++a)
      if (access.strides[a] != 0)
        steps.push_back({axes[a], kernel.axes[a].size, access.strides[a]});
    return steps;
  }

  // "2*r + c + 5"
  static std::string affine(const std::vector<Step> &steps, int64_t offset) {
    std::string text;
    for (const Step &step : steps)
      text +=
          fmt::format("{}{}{}", text.empty() ? "" : " + ", step.stride == 1 ? "" : fmt::format("{}*", step.stride), step.index);
    if (text.empty() || offset != 0)
      text += fmt::format("{}{}", text.empty() ? "" : " + ", offset);
    return text;
  }

  // Where a pointer is read or written: axes in order of their strides where these are those of a row-major tensor, else the
  // affine map; nothing where the tensor has just the kernel's first `whole` axes.
  std::string indices(const Access &access, int whole) const {
    const std::vector<Step> steps = steps_of(access);
    if (steps.empty() && access.offset == 0)
      return "";
    const std::string text = indices(steps, access.offset);
    std::vector<std::string> first(axes.begin(), axes.begin() + std::max(whole, 0));
    return whole > 0 && text == fmt::format("[{}]", fmt::join(first, ",")) ? "" : text;
  }

  static std::string indices(std::vector<Step> steps, int64_t offset) {
    const std::vector<Step> as_given = steps;
    std::ranges::stable_sort(steps, std::greater(), &Step::stride);
    int64_t stride = 1;
    bool packed = offset == 0;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      packed = packed && step->stride == stride;
      stride *= step->size;
    }
    if (!packed)
      return fmt::format("[{}]", affine(as_given, offset));
    std::vector<std::string> list;
    for (const Step &step : steps)
      list.push_back(step.index);
    return fmt::format("[{}]", fmt::join(list, ","));
  }

  // "%table[%i,c]"
  std::string entry(const KernelNode &node) const {
    std::vector<Step> steps = steps_of(node.access);
    steps.insert(steps.begin(), Step{operand(node.operands[0]).text, node.attrs.shape[0], node.attrs.stride[0]});
    const std::string name = read_name(node.access.pointer);
    return brief ? name.substr(1) + "[" + steps[0].index + "]" : name + indices(steps, node.access.offset);
  }

  int axis_count() const { return static_cast<int>(kernel.axes.size()); }

  std::string place(const Access &access) const {
    const KernelPointer &pointer = kernel.pointers[access.pointer];
    const std::string name = pointer.read ? read_name(access.pointer) + "!" : written_name(access.pointer);
    const bool has_inner =
        std::any_of(access.strides.begin() + kernel.rows, access.strides.end(), [](int64_t s) { return s != 0; });
    return name + indices(access, has_inner ? axis_count() : kernel.rows);
  }

  Text operand(int i, bool in_dot = false) const {
    const KernelNode &node = kernel.nodes[i];
    if (node.op == Op::arg)
      return {brief ? read_name(node.access.pointer).substr(1)
                    : read_name(node.access.pointer) + indices(node.access, in_dot ? -1 : axis_count())};
    if (node.op == Op::constant) {
      const std::string number = number_text(node);
      return {number, number[0] == '-' ? sign : atom};
    }
    if (node.op == Op::iota)
      return {fmt::format("index({})", affine(steps_of(node.access), node.access.offset))};
    return own_line[i] ? Text{names[i]} : expression(i);
  }

  std::string swept_axes(const KernelNode &node) const {
    std::string text;
    for (int a = 0; a < static_cast<int>(kernel.axes.size()); ++a) {
      const bool among = std::find(node.attrs.axes.begin(), node.attrs.axes.end(), a) != node.attrs.axes.end();
      if (node.partial ? among : kernel.axes[a].inner)
        text += axes[a];
    }
    return text;
  }

  // The value of a node in terms of its operands.
  Text expression(int i) const {
    const KernelNode &node = kernel.nodes[i];
    if (is_leaf(node.op))
      return operand(i);
    const auto at = [&](size_t k) { return operand(node.operands[k]); };
    if (node.op == Op::dot)
      return {brief ? "dot"
                    : fmt::format("dot({}, {})", operand(node.operands[0], true).text, operand(node.operands[1], true).text)};
    if (node.op == Op::gather)
      return {entry(node)};
    if (node.op == Op::scatter_add)
      return {fmt::format("{}_{}({}, {})", op_info(node.op).name, swept_axes(node), at(0).text, at(1).text)};
    if (is_reduce(node.op) || node.op == Op::argsort)
      return {fmt::format("{}_{}({})", op_info(node.op).name, swept_axes(node), at(0).text)};
    if (const std::optional<Infix> sign = infix(node.op)) {
      const auto tighter = static_cast<Precedence>(sign->precedence + 1);
      return {fmt::format("{} {} {}", in(at(0), sign->precedence == comparison ? tighter : sign->precedence), sign->sign,
                          in(at(1), tighter)),
              sign->precedence};
    }
    if (node.op == Op::neg)
      return {"-" + in(at(0), sign), sign};
    if (node.op == Op::logical_not)
      return {"not " + in(at(0), logical_not), logical_not};
    std::string arguments;
    for (size_t k = 0; k < node.operands.size(); ++k)
      arguments += (k == 0 ? "" : ", ") + at(k).text;
    return {fmt::format("{}({})", node.op == Op::cast ? dtype_name(node.attrs.dtype) : op_info(node.op).name, arguments)};
  }
};

std::string access_identity(const Access &access) {
  return fmt::format("p{}+{}[{}]", access.pointer, access.offset, fmt::join(access.strides, ","));
}

std::string attrs_identity(const Attrs &attrs) {
  return fmt::format("axes [{}] shape [{}] start [{}] stride [{}] axis {} {} \"{}\"", fmt::join(attrs.axes, ","),
                     fmt::join(attrs.shape, ","), fmt::join(attrs.start, ","), fmt::join(attrs.stride, ","), attrs.axis,
                     dtype_name(attrs.dtype), attrs.labels);
}

std::string identity_text(const Kernel &kernel) {
  std::string text =
      fmt::format("{} rows {} vector {} dot {} stages {} grains {} of {} scratch {}\n", recipe_name(kernel.recipe), kernel.rows,
                  kernel.vector_axis, kernel.dot, kernel.stages, kernel.grains, kernel.grain_axis, kernel.scratch_bytes);
  const DotAxes &dot = kernel.dot_axes;
  text += fmt::format("b [{}] m [{}] n [{}] k [{}]\n", fmt::join(dot.batch, ","), fmt::join(dot.m, ","), fmt::join(dot.n, ","),
                      fmt::join(dot.k, ","));
  for (const Axis &axis : kernel.axes)
    text += fmt::format("axis {}{} only {}\n", axis.size, axis.inner ? " inner" : "", axis.only);
  for (const KernelPointer &pointer : kernel.pointers)
    text += fmt::format("pointer {} {}{} {} {}\n", dtype_name(pointer.dtype), pointer.read ? "r" : "", pointer.written ? "w" : "",
                        pointer.elements, fmt::ptr(pointer.constant.get()));
  for (const KernelNode &node : kernel.nodes)
    text += fmt::format("{} {} ({}) {} {} number {:x} integer {} {}depends {:x} stage {} home {}\n", op_info(node.op).name,
                        dtype_name(node.dtype), fmt::join(node.operands, ","), attrs_identity(node.attrs),
                        access_identity(node.access), std::bit_cast<uint64_t>(node.number), node.integer,
                        node.partial ? "partial " : "", node.depends, node.stage, static_cast<int>(node.home));
  for (const KernelRoot &root : kernel.roots)
    text += fmt::format("root {} {}\n", root.node, access_identity(root.access));
  return text;
}

} // namespace

std::string kernel_text(const Kernel &kernel, bool identity) {
  if (identity)
    return identity_text(kernel);
  Printer printer(kernel, false);
  return printer.header() + "\n" + printer.stages();
}

std::string kernel_summary(const Kernel &kernel) {
  if (kernel.dot >= 0 || kernel.stages <= 1) {
    const std::string text = Printer(kernel, true).summary();
    if (!text.empty() && text.size() <= longest_summary)
      return text;
  }
  const std::string header = Printer(kernel, true).header();
  const size_t axes = header.find_first_not_of(' ', recipe_name(kernel.recipe).size());
  return fmt::format("{}, {} stage{}", header.substr(axes, header.find("   ", axes) - axes), kernel.stages,
                     kernel.stages == 1 ? "" : "s");
}

} // namespace nnc

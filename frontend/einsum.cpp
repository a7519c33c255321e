// einsum("labels", x, y, …): the sum over products of elements, as in NumPy: every axis has a letter, `...` stands for axes that
// broadcast, and a letter that is not in the result is summed. Two operands are one `dot`; more are taken from left to right.
#include "frontend/builtins.h"

#include "frontend/lowering.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

namespace {

bool has(const std::string &labels, char label) { return labels.find(label) != labels.npos; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// One operand, or the product of those before: an axis a label, none twice.
struct Factor {
  Value value;
  std::string labels;
};

class Einsum {
public:
  explicit Einsum(const BuiltinCall &call)
      : trace_(call.lowering.emit.trace), emit_(call.lowering.emit), at_(call.at), label_span_(call.rest[0].span),
        operands_(call.rest.begin() + 1, call.rest.end()), build_(emit_.at(call.at)) {}

  TensorRef run(const std::string &text) {
    read(text);
    tensors_ = emit_.unify(operands_, at_);
    for (TensorRef &tensor : tensors_) {
      if (is_bool(tensor.type.dtype))
        trace_.fail(at_, fmt::format("`einsum` of {}; write f32(…) or i32(…) to count with it", type_text(tensor.type)));
      // Room for the sum; and of what is for storage, what may have to be summed before the product. `dot` takes that back.
      const DType dtype = tensor.type.dtype == DType::u8 ? DType::i32 : wide_dtype(tensor.type.dtype);
      tensor = emit_.converted(tensor, dtype, at_);
    }
    spell_out_dots();
    check_sizes();
    check_result();
    Factor product = factor(0);
    for (size_t i = 1; i < tensors_.size(); ++i)
      product = multiplied(product, factor(i), i + 1);
    summed(product, result_);
    Shape order;
    for (char label : result_)
      order.push_back(product.labels.find(label));
    return emit_.ref(build_.transpose(product.value, order));
  }

private:
  Trace &trace_;
  Emit &emit_;
  Span at_, label_span_;
  std::vector<Operand> operands_;
  Builder &build_;
  std::vector<TensorRef> tensors_;
  std::vector<std::string> labels_; // of each operand; `...` is one '.'
  std::string result_;
  std::string dots_; // the letters of the axes of `...`
  Shape sizes_ = Shape(128, 0);

  [[noreturn]] void fail(const std::string &message) { trace_.fail(label_span_, message); }
  [[noreturn]] void fail(size_t operand, const std::string &message) { trace_.fail(operands_[operand].span, message); }

  // "...ij, jk -> ...ik" into labels.
  void read(std::string text) {
    std::erase(text, ' ');
    const size_t arrow = text.find("->");
    if (arrow == text.npos)
      fail("`einsum` needs `->` and the labels of the result: \"ij,jk->ik\"");
    result_ = part(text.substr(arrow + 2));
    for (size_t from = 0; from <= arrow;) {
      const size_t comma = std::min(text.find(',', from), arrow);
      labels_.push_back(part(text.substr(from, comma - from)));
      from = comma + 1;
    }
    if (labels_.size() != operands_.size())
      fail(
          fmt::format("labels for {} operand{}, and {} given", labels_.size(), labels_.size() == 1 ? "" : "s", operands_.size()));
  }

  std::string part(std::string text) {
    if (const size_t dots = text.find("..."); dots != text.npos)
      text.replace(dots, 3, "\n");
    for (char c : text)
      if (c != '\n' && !is_letter(c))
        fail(fmt::format("`{}` is no label: letters, and `...` once for each operand", c));
    std::ranges::replace(text, '\n', '.');
    return text;
  }

  // Every `...` becomes letters that the text does not use, counted from the right; an axis of size 1 that meets a longer one
  // is dropped: it repeats.
  void spell_out_dots() {
    std::string unused;
    for (char c = 'a'; c <= 'z'; ++c)
      unused += {c, static_cast<char>(c - 'a' + 'A')};
    std::erase_if(unused, [&](char c) {
      return has(result_, c) || std::ranges::any_of(labels_, [&](const std::string &labels) { return has(labels, c); });
    });
    Shape joint;
    std::vector<Shape> leading(tensors_.size());
    for (size_t i = 0; i < tensors_.size(); ++i) {
      const Shape &shape = tensors_[i].type.shape;
      const size_t dots = labels_[i].find('.'), named = labels_[i].size() - (dots != std::string::npos);
      if (shape.size() < named || (dots == std::string::npos && shape.size() > named))
        fail(i, fmt::format("{} labels for {}", named, type_text(tensors_[i].type)));
      if (dots == std::string::npos)
        continue;
      leading[i].assign(shape.begin() + dots, shape.begin() + dots + (shape.size() - named));
      const std::optional<Shape> next = broadcast_shapes(joint, leading[i]);
      if (!next)
        fail(i, fmt::format("`...` is {} here and {} before", shape_text(leading[i]), shape_text(joint)));
      joint = *next;
    }
    if (joint.size() > unused.size())
      fail("too many axes for the letters there are");
    dots_ = unused.substr(0, joint.size());
    for (size_t i = 0; i < tensors_.size(); ++i)
      if (const size_t dots = labels_[i].find('.'); dots != std::string::npos) {
        std::string letters;
        Shape kept = tensors_[i].type.shape;
        kept.erase(kept.begin() + dots, kept.begin() + dots + leading[i].size());
        for (size_t k = 0; k < leading[i].size(); ++k) {
          const size_t axis = joint.size() - leading[i].size() + k;
          if (leading[i][k] == 1 && joint[axis] != 1)
            continue;
          kept.insert(kept.begin() + dots + letters.size(), joint[axis]);
          letters += dots_[axis];
        }
        labels_[i].replace(dots, 1, letters);
        tensors_[i] = emit_.ref(build_.reshape(tensors_[i].value, kept));
      }
    if (const size_t dots = result_.find('.'); dots != result_.npos)
      result_.replace(dots, 1, dots_);
    else if (!dots_.empty())
      fail("`...` stands in an operand and not in the result");
  }

  void check_sizes() {
    for (size_t i = 0; i < tensors_.size(); ++i)
      for (size_t axis = 0; axis < labels_[i].size(); ++axis) {
        const char label = labels_[i][axis];
        const int64_t size = tensors_[i].type.shape[axis];
        int64_t &known = sizes_[static_cast<int>(label)];
        if (known != 0 && known != size) {
          size_t first = 0; // the operand with the other size
          while (!has(labels_[first], label))
            ++first;
          Diagnostic &error = trace_.error(
              at_, fmt::format("sizes of `{}` differ: {} in {}, {} in {}", label, known, name(first), size, name(i)));
          error.operand(operands_[first].span).operand(operands_[i].span);
          emit_.note_size(error, tensors_[first], static_cast<int64_t>(labels_[first].find(label)));
          emit_.note_size(error, tensors_[i], static_cast<int64_t>(axis));
          throw Poisoned{};
        }
        known = size;
      }
  }

  std::string name(size_t operand) const {
    const std::string text = operand_text(operands_[operand].span);
    return text.empty() ? type_text(tensors_[operand].type) : text;
  }

  void check_result() {
    for (size_t i = 0; i < result_.size(); ++i) {
      if (result_.find(result_[i]) != i)
        fail(fmt::format("label `{}` stands twice in the result", result_[i]));
      if (sizes_[static_cast<int>(result_[i])] == 0)
        fail(fmt::format("label `{}` of the result stands in no operand", result_[i]));
    }
  }

  // An operand; of a label that stands twice, the diagonal.
  Factor factor(size_t i) {
    Factor result{tensors_[i].value, labels_[i]};
    for (size_t axis = 0; axis < result.labels.size();) {
      const size_t first = result.labels.find(result.labels[axis]);
      if (first == axis++)
        continue;
      --axis;
      const Type type = build_.type(result.value);
      const Value diagonal = build_.eq(build_.iota(DType::i32, type.shape, first), build_.iota(DType::i32, type.shape, axis));
      const Value zero = is_float(type.dtype) ? build_.constant(type, 0) : build_.constant_int(type, 0);
      result.value = build_.sum(build_.select(diagonal, result.value, zero), {static_cast<int64_t>(axis)});
      result.labels.erase(axis, 1);
    }
    return result;
  }

  // Sums the labels that are not wanted.
  void summed(Factor &factor, const std::string &wanted) {
    Shape axes;
    std::string labels;
    for (size_t axis = 0; axis < factor.labels.size(); ++axis)
      if (has(wanted, factor.labels[axis]))
        labels += factor.labels[axis];
      else
        axes.push_back(axis);
    factor.value = build_.sum(factor.value, axes);
    factor.labels = labels;
  }

  // The product of two, without the labels that nothing behind operand `next` and not the result asks for. What stands in one of
  // them only is summed first.
  Factor multiplied(Factor left, Factor right, size_t next) {
    std::string wanted = result_;
    for (size_t i = next; i < labels_.size(); ++i)
      wanted += labels_[i];
    summed(left, wanted + right.labels);
    summed(right, wanted + left.labels);
    Factor product;
    if (next == labels_.size())
      product.labels = result_;
    else
      for (char label : left.labels + right.labels)
        if (has(wanted, label) && !has(product.labels, label))
          product.labels += label;
    product.value = build_.dot(left.value, right.value, left.labels + "," + right.labels + "->" + product.labels);
    return product;
  }
};

} // namespace

Datum einsum(const BuiltinCall &c) {
  const std::string *labels = c.rest.empty() ? nullptr : c.rest[0].datum.as<std::string>();
  if (!labels)
    c.lowering.trace.fail(c.rest.empty() ? c.at : c.rest[0].span, "`einsum` takes its labels first: einsum(\"ij,jk->ik\", x, y)");
  if (c.rest.size() == 1)
    c.lowering.trace.fail(c.at, "`einsum` needs an operand behind its labels");
  return Einsum(c).run(*labels);
}

} // namespace nnc

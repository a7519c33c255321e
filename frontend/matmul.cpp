// x @ y as NumPy has it, as a `dot` with labels. The last axis of x meets the second to last of y (the only one of a
// vector); axes before them pair up from the right and broadcast.
#include "frontend/emit.h"

#include <algorithm>
#include <fmt/format.h>

namespace nnc {

TensorRef Emit::matmul(const Operand &left, const Operand &right, const Span &at) {
  std::vector<TensorRef> sides = unify({left, right}, at);
  const auto label = [&](int i) {
    const std::string text = operand_text((i ? right : left).span);
    return fmt::format("{} is {}", text.empty() ? (i ? "the other" : "one side") : text, shape_text(sides[i].type.shape));
  };
  for (int i = 0; i < 2; ++i)
    if (sides[i].type.rank() == 0)
      trace.fail((i ? right : left).span, "`@` needs tensors with axes, this is a scalar; use `*`");
  const Shape &a = sides[0].type.shape, &b = sides[1].type.shape;
  const int64_t ra = sides[0].type.rank(), rb = sides[1].type.rank();
  const int64_t inner_a = ra - 1, inner_b = std::max<int64_t>(rb - 2, 0);
  if (a[inner_a] != b[inner_b]) {
    Diagnostic &error = trace.error(at, fmt::format("inner sizes differ: {}, {}", label(0), label(1)));
    error.operand(left.span).operand(right.span);
    note_size(error, sides[0], inner_a);
    note_size(error, sides[1], inner_b);
    throw Poisoned{};
  }

  // Labels: i is summed, b and o are the rows and columns, n m … are the axes before them, counted from the right.
  // An axis of size 1 that meets a longer one is dropped from its side: it repeats.
  constexpr std::string_view letters = "nmlkjhgfedca";
  const int64_t lead_a = std::max<int64_t>(ra - 2, 0), lead_b = std::max<int64_t>(rb - 2, 0);
  std::string labels_a, labels_b, result;
  Shape kept_a, kept_b;
  for (int64_t back = std::max(lead_a, lead_b); back > 0; --back) {
    const int64_t size_a = back <= lead_a ? a[lead_a - back] : 0, size_b = back <= lead_b ? b[lead_b - back] : 0;
    if (back > static_cast<int64_t>(letters.size()))
      trace.fail(at, fmt::format("`@` of tensors with more than {} axes", letters.size() + 2));
    const char letter = letters[back - 1];
    if (size_a > 1 && size_b > 1 && size_a != size_b) {
      Diagnostic &error = trace.error(at, fmt::format("sizes differ: {}, {}", label(0), label(1)));
      error.operand(left.span).operand(right.span);
      note_size(error, sides[0], lead_a - back);
      note_size(error, sides[1], lead_b - back);
      throw Poisoned{};
    }
    if (size_a > 1 || (size_a == 1 && size_b <= 1)) {
      labels_a += letter;
      kept_a.push_back(size_a);
    }
    if (size_b > 1 || (size_b == 1 && size_a <= 1)) {
      labels_b += letter;
      kept_b.push_back(size_b);
    }
    result += letter;
  }
  if (ra > 1) {
    labels_a += 'b';
    kept_a.push_back(a[ra - 2]);
    result += 'b';
  }
  labels_a += 'i';
  kept_a.push_back(a[inner_a]);
  labels_b += 'i';
  kept_b.push_back(b[inner_b]);
  if (rb > 1) {
    labels_b += 'o';
    kept_b.push_back(b[rb - 1]);
    result += 'o';
  }
  Builder &build = this->at(at);
  return ref(build.dot(build.reshape(sides[0].value, kept_a), build.reshape(sides[1].value, kept_b),
                       fmt::format("{},{}->{}", labels_a, labels_b, result)));
}

} // namespace nnc

// Making, printing and comparing data.
#include "frontend/datum.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace nnc {

namespace {
constexpr size_t longest_operand = 32;    // characters of source quoted in a message
constexpr size_t longest_list = 200;      // characters of a list quoted
constexpr int64_t most_items = 1'000'000; // in a list and the lists in it
constexpr int deepest_list = 500;

template <typename... F> struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F> Overloaded(F...) -> Overloaded<F...>;
} // namespace

const std::vector<Datum> *Datum::list() const { return is<List>() ? &std::get<List>(value)->list : nullptr; }
int64_t Datum::size() const { return is<List>() ? 1 + std::get<List>(value)->size : 1; }

Datum make_list(std::vector<Datum> items) {
  Items made;
  for (const Datum &item : items) {
    made.size += item.size();
    if (const auto *list = item.as<List>())
      made.depth = std::max(made.depth, 1 + (*list)->depth);
  }
  if (made.size > most_items)
    throw TooLarge(fmt::format("a list of more than {} items, counting those of the lists in it", most_items));
  if (made.depth > deepest_list)
    throw TooLarge(fmt::format("lists in lists, more than {} levels deep", deepest_list));
  made.list = std::move(items);
  return List(std::make_shared<const Items>(std::move(made)));
}

Datum make_list(const Shape &sizes) {
  std::vector<Datum> items;
  for (int64_t size : sizes)
    items.emplace_back(Number::whole(size));
  return make_list(std::move(items));
}

std::string number_text(const Number &value) {
  return value.exact ? fmt::format("{}", *value.exact) : fmt::format("{}", value.value);
}

std::string datum_text(const Datum &datum) {
  return std::visit(Overloaded{
                        [](const Poison &) { return std::string("?"); },
                        [](const Number &value) { return number_text(value); },
                        [](bool value) { return std::string(value ? "true" : "false"); },
                        [](const std::string &value) { return value; },
                        [](DType value) { return std::string(dtype_name(value)); },
                        [](const TensorRef &tensor) { return type_text(tensor.type); },
                        [](const FunctionRef &) { return std::string("a function"); },
                        [](const List &list) {
                          std::string text = "[";
                          for (const Datum &item : list->list) {
                            text += text.size() > 1 ? ", " : "";
                            if (text.size() > longest_list)
                              return text + "…]";
                            text += datum_text(item);
                          }
                          return text + "]";
                        },
                    },
                    datum.value);
}

std::string kind_text(const Datum &datum) {
  if (datum.is<Number>())
    return "the number " + datum_text(datum);
  if (datum.is<bool>())
    return "the compile-time bool " + datum_text(datum);
  if (datum.is<std::string>())
    return "a string";
  if (datum.is<DType>())
    return "the dtype " + datum_text(datum);
  if (const auto *list = datum.list())
    return fmt::format("a list of {}", list->size());
  if (const auto *tensor = datum.as<TensorRef>(); tensor && tensor->type == Type{DType::boolean, {}})
    return "a run-time bool";
  return datum_text(datum);
}

std::string operand_text(const Span &span) {
  const std::string_view text = span ? span.text() : "";
  if (text.empty() || text.size() > longest_operand || text.find_first_of("\n`") != text.npos)
    return "";
  return fmt::format("`{}`", text);
}

std::optional<int64_t> whole(const Number &value) {
  constexpr double largest = 9007199254740992.0; // 2^53: beyond, not every integer is a double
  if (value.exact)
    return value.exact;
  if (std::floor(value.value) != value.value || std::abs(value.value) > largest)
    return std::nullopt;
  return static_cast<int64_t>(value.value);
}

bool same_constant(const Datum &a, const Datum &b) {
  if (a.value.index() != b.value.index())
    return false;
  return std::visit(Overloaded{
                        [](const Poison &) { return false; },
                        [](const TensorRef &) { return false; },
                        [&](const List &list) {
                          const Items &other = *std::get<List>(b.value);
                          return std::ranges::equal(list->list, other.list, same_constant);
                        },
                        [&](const auto &value) { return value == std::get<std::decay_t<decltype(value)>>(b.value); },
                    },
                    a.value);
}

} // namespace nnc

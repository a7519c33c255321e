// Places in a source, and messages as text.
//
// An excerpt shows the lines on which the marked spans begin, a long line only around its marks. What a terminal would not
// print as one cell is replaced: tabs by a space; control characters, marks that turn the writing direction and stray bytes
// by `?`. So marks stand below what they mean, but for characters that are two cells wide or none.
#include "frontend/diagnostics.h"

#include "frontend/printable.h"
#include "ir/error.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <numeric>

namespace nnc {

size_t character_size(std::string_view text, size_t at) {
  auto byte = [&](size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  auto inner = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) { return byte(i) >= low && byte(i) <= high; };
  unsigned first = byte(at);
  if (at >= text.size())
    return 0;
  if (first < 0x80)
    return 1;
  // The second byte's bounds exclude overlong forms, surrogates and what is above U+10FFFF (Unicode 15, table 3-7).
  if (first >= 0xc2 && first <= 0xdf)
    return inner(at + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef)
    return inner(at + 1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf) && inner(at + 2) ? 3 : 0;
  if (first >= 0xf0 && first <= 0xf4)
    return inner(at + 1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf) && inner(at + 2) && inner(at + 3) ? 4 : 0;
  return 0;
}

// ---- Source

Source::Source(std::string name, std::string text) : name_(std::move(name)), text_(std::move(text)), line_begins_{0} {
  if (text_.starts_with("\xef\xbb\xbf"))
    text_.erase(0, 3);
  for (size_t i = 0; i < text_.size();) {
    size_t size = std::max<size_t>(1, character_size(text_, i));
    if (text_[i] == '\n')
      line_begins_.push_back(static_cast<uint32_t>(i + 1));
    for (size_t k = 1; k < size; ++k)
      inner_bytes_.push_back(static_cast<uint32_t>(i + k));
    i += size;
  }
}

Place Source::place(uint32_t offset) const {
  auto after = std::upper_bound(line_begins_.begin(), line_begins_.end(), offset);
  uint32_t begin = *(after - 1);
  auto inner = std::lower_bound(inner_bytes_.begin(), inner_bytes_.end(), offset) -
               std::lower_bound(inner_bytes_.begin(), inner_bytes_.end(), begin);
  return {static_cast<int>(after - line_begins_.begin()), static_cast<int>(offset - begin - inner) + 1};
}

std::string_view Source::line(int line) const {
  size_t begin = line_begin(line);
  size_t end = static_cast<size_t>(line) < line_begins_.size() ? line_begins_[line] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r')
    --end;
  return std::string_view(text_).substr(begin, end - begin);
}

Span join(const Span &first, const Span &last) { return {first.source, first.begin, last.end}; }

// ---- Excerpts

namespace {

std::string shown(std::string_view character) {
  return character == "\t" ? " " : is_unprintable(character) ? "?" : std::string(character);
}

struct Mark {
  uint32_t begin, end; // in the source
  char mark;
};

// One line with the marks below it; the first mark is the one that must be seen.
std::string excerpt(const Source &source, int line, int gutter, const std::vector<Mark> &marks) {
  constexpr size_t reach = 70; // characters shown on each side of the first mark's begin
  std::string_view text = source.line(line);
  uint32_t base = source.line_begin(line);
  size_t at = std::min<size_t>(marks[0].begin - base, text.size());

  auto inner = [&](size_t i) { return i < text.size() && (text[i] & 0xc0) == 0x80; };
  size_t begin = at, end = at;
  for (size_t n = 0; n < reach && begin > 0; ++n)
    do
      --begin;
    while (begin > 0 && inner(begin));
  for (size_t n = 0; n < reach && end < text.size(); ++n)
    end += std::max<size_t>(1, character_size(text, end));
  if (text.size() <= 2 * reach)
    begin = 0, end = text.size();

  std::string line_text = begin > 0 ? "…" : "", mark_text = begin > 0 ? " " : "";
  for (size_t i = begin; i <= end;) { // one past the end: there an empty span is marked
    size_t size = std::max<size_t>(1, character_size(text, i));
    char mark = ' ';
    for (const Mark &m : marks)
      if (base + i >= m.begin && (base + i < m.end || base + i == m.begin) && mark != '^')
        mark = m.mark;
    mark_text += i < end || mark == '^' ? mark : ' ';
    if (i < end)
      line_text += shown(text.substr(i, size));
    i += size;
  }
  if (end < text.size())
    line_text += "…";
  mark_text.erase(mark_text.find_last_not_of(' ') + 1);
  return fmt::format("\n  {:>{}} | {}\n  {:>{}} | {}", line, gutter, line_text, "", gutter, mark_text);
}

std::string excerpts(const Diagnostic &diagnostic) {
  const Source &source = *diagnostic.span.source;
  std::map<int, std::vector<Mark>> lines;
  auto add = [&](const Span &span, char mark) {
    if (span.source == &source)
      lines[span.place().line].push_back({span.begin, span.end, mark});
  };
  add(diagnostic.span, '^');
  for (const Span &operand : diagnostic.operands)
    add(operand, '~');
  int gutter = static_cast<int>(std::to_string(lines.rbegin()->first).size());
  std::string out;
  for (const auto &[line, marks] : lines)
    if (source.line(line).find_first_not_of(" \t") != std::string_view::npos)
      out += excerpt(source, line, gutter, marks);
  return out;
}

std::string place_text(const Span &span) {
  if (!span)
    return "";
  Place place = span.place();
  return fmt::format("{}:{}:{}: ", printable(span.source->name()), place.line, place.column);
}

std::string text_of(const Diagnostic &diagnostic) {
  std::string out = place_text(diagnostic.span);
  out += diagnostic.severity == Diagnostic::Severity::error ? "error: " : "warning: ";
  out += printable(diagnostic.message);
  if (diagnostic.span)
    out += excerpts(diagnostic);
  for (const Diagnostic::Note &note : diagnostic.notes)
    out += "\n" + place_text(note.span) + "note: " + printable(note.text);
  return out;
}

} // namespace

// ---- Diagnostics

Diagnostic &Diagnostics::add(Diagnostic::Severity severity, const Span &span, std::string message) {
  unkept_ = {};
  if (seen_.contains({span.source, span.begin, span.end, message}))
    return unkept_;
  (severity == Diagnostic::Severity::error ? errors_ : warnings_)++;
  if (kept_.size() == max_kept)
    return unkept_;
  seen_.insert({span.source, span.begin, span.end, message});
  return kept_.emplace_back(Diagnostic{severity, span, std::move(message), {}, {}});
}

std::string Diagnostics::text() const {
  std::map<const Source *, size_t> source_order;
  std::vector<const Diagnostic *> order;
  for (const Diagnostic &diagnostic : kept_) {
    source_order.try_emplace(diagnostic.span.source, source_order.size());
    order.push_back(&diagnostic);
  }
  std::stable_sort(order.begin(), order.end(), [&](const Diagnostic *a, const Diagnostic *b) {
    return std::pair(source_order[a->span.source], a->span.begin) < std::pair(source_order[b->span.source], b->span.begin);
  });

  std::string out;
  size_t printed[2] = {0, 0};
  for (const Diagnostic *diagnostic : order)
    if (printed[static_cast<int>(diagnostic->severity)]++ < max_printed)
      out += (out.empty() ? "" : "\n") + text_of(*diagnostic);
  auto rest = [&](size_t count, const char *what) {
    if (count > max_printed)
      out += fmt::format("\n… {} more {}{}", count - max_printed, what, count - max_printed == 1 ? "" : "s");
  };
  rest(errors_, "error");
  rest(warnings_, "warning");
  return out;
}

void Diagnostics::throw_if_errors() const {
  if (has_errors())
    throw Error(text());
}

} // namespace nnc

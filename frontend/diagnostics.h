// Source, Span and Diagnostics: where text stands, and what is said about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace nnc {

// A place as people count it, from 1. A column is a character, not a byte: a UTF-8 sequence or a stray byte counts 1, and so
// does a tab.
struct Place {
  int line = 0, column = 0;

  bool operator==(const Place &) const = default;
};

// Bytes of the UTF-8 character that starts at text[at]; 0 if none starts there.
size_t character_size(std::string_view text, size_t at);

// A text and its name as messages print it. A byte order mark is dropped. Spans point into it, so it stays where it is and
// outlives them.
class Source {
public:
  static constexpr size_t max_size = size_t(1) << 30; // so offsets fit 32 bits; the parser refuses more

  Source(std::string name, std::string text);
  Source(const Source &) = delete;
  Source &operator=(const Source &) = delete;

  const std::string &name() const { return name_; }
  std::string_view text() const { return text_; }
  Place place(uint32_t offset) const;    // O(log n)
  std::string_view line(int line) const; // without its line end
  uint32_t line_begin(int line) const { return line_begins_[line - 1]; }

private:
  std::string name_, text_;
  std::vector<uint32_t> line_begins_;
  std::vector<uint32_t> inner_bytes_; // offsets of the bytes that are no character's first
};

// Bytes [begin, end) of a source. Without a source: nowhere.
struct Span {
  const Source *source = nullptr;
  uint32_t begin = 0, end = 0;

  bool operator==(const Span &) const = default;
  explicit operator bool() const { return source != nullptr; }
  std::string_view text() const { return source->text().substr(begin, end - begin); }
  Place place() const { return source->place(begin); }
};
Span join(const Span &first, const Span &last); // from the begin of `first` to the end of `last`

struct Diagnostic {
  enum class Severity : uint8_t { error, warning };
  struct Note {
    Span span;
    std::string text;
  };

  Severity severity = Severity::error;
  Span span;                  // marked with ^
  std::string message;        // lower case, no period, names in backticks
  std::vector<Span> operands; // marked with ~
  std::vector<Note> notes;    // at other places, printed below

  Diagnostic &operand(const Span &at) { return operands.push_back(at), *this; }
  Diagnostic &note(const Span &at, std::string text) { return notes.push_back({at, std::move(text)}), *this; }
};

// Collects what is wrong with the sources of one run. The same message at the same span is kept once.
class Diagnostics {
public:
  static constexpr size_t max_printed = 20; // errors; the rest is a line "… more errors"
  static constexpr size_t max_kept = 1000;  // later ones are counted only

  // The result stands until the collector dies: add operands and notes to it.
  Diagnostic &error(const Span &span, std::string message) { return add(Diagnostic::Severity::error, span, std::move(message)); }
  Diagnostic &warning(const Span &span, std::string message) {
    return add(Diagnostic::Severity::warning, span, std::move(message));
  }

  bool has_errors() const { return errors_ != 0; }
  size_t error_count() const { return errors_; }
  const std::deque<Diagnostic> &all() const { return kept_; } // as they came

  // Everything as text in order of place (sources in the order they first came up), without a newline at the end:
  //     mlp.nn:7:14: error: inner sizes differ: `x` is [32,784], `w1` is [785,128]
  //       7 |   h = relu(x @ w1 + b1)
  //         |            ~ ^ ~~
  //     mlp.nn:2:9: note: 785 comes from `param w1: f32[785,128]`
  std::string text() const;
  void throw_if_errors() const; // Error(text())

private:
  Diagnostic &add(Diagnostic::Severity severity, const Span &span, std::string message);

  std::deque<Diagnostic> kept_; // a deque keeps references valid
  std::set<std::tuple<const Source *, uint32_t, uint32_t, std::string>> seen_;
  Diagnostic unkept_;
  size_t errors_ = 0, warnings_ = 0;
};

} // namespace nnc

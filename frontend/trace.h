// Trace: where evaluation stands: the chain of calls. Errors and the places of IR nodes are told through it.
#pragma once

#include "frontend/diagnostics.h"
#include "ir/function.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace nnc {

// Thrown after an error was reported (or for a value already poisoned); caught where a statement ends.
struct Poisoned {};

class Trace {
public:
  Trace(Diagnostics &diagnostics, const Source &model);

  // Reports at `span`. In a function the innermost call is added as a note. What goes wrong inside the standard library is
  // shown at the line of the model that led there. A place in a function is complained about once, however often it is called.
  Diagnostic &error(const Span &span, const std::string &message);
  [[noreturn]] void fail(const Span &span, const std::string &message) {
    error(span, message);
    throw Poisoned{};
  }
  // The same with one more place: "declared here".
  [[noreturn]] void fail(const Span &span, const std::string &message, const Span &note_at, const std::string &note) {
    error(span, message).note(note_at, note);
    throw Poisoned{};
  }
  // Reports just there, without the calls that led here.
  Diagnostic &warning_at(const Span &span, const std::string &message) { return diagnostics_.warning(span, message); }
  Diagnostic &error_at(const Span &span, const std::string &message) { return diagnostics_.error(span, message); }
  // As error, but outside the innermost call: at an argument of it.
  Diagnostic &error_in_caller(const Span &span, const std::string &message);
  [[noreturn]] void fail_in_caller(const Span &span, const std::string &message, const Span &note_at) {
    error_in_caller(span, message).note(note_at, "declared here");
    throw Poisoned{};
  }
  // As error, but at the innermost call: the caller did not give what the function requires at `span`.
  Diagnostic &error_of_caller(const Span &span, const std::string &message);

  // The call of `function` at `at` is entered and, when this dies, left.
  class Entered {
  public:
    Entered(Trace &trace, const std::string &function, const Span &at) : trace_(trace) { trace.push(function, at); }
    ~Entered() { trace_.calls_.pop_back(); }
    Entered(const Entered &) = delete;

  private:
    Trace &trace_;
  };

  Loc loc(const Span &span);
  Span span(const Loc &loc) const; // from there to the end of the line

  // For Module: files and call paths that places refer to.
  std::vector<std::string> files;
  std::vector<std::vector<Call>> paths = {{}};

  int64_t depth() const { return static_cast<int64_t>(calls_.size()); }
  bool in_library(const Span &span) const;
  bool has_errors() const { return diagnostics_.has_errors(); }
  bool is_full() const { return diagnostics_.error_count() >= Diagnostics::max_kept; } // nobody reads further
  void forget_reported() { reported_.clear(); }

private:
  struct Frame {
    std::string function;
    Span at;
    int path;
  };
  void push(const std::string &function, const Span &at);
  int file_index(const Source *source);

  Diagnostics &diagnostics_;
  std::vector<const Source *> sources_; // by index in `files`; the first is the model
  std::vector<Frame> calls_;
  std::map<std::pair<int, std::tuple<std::string, int, int, int>>, int> path_index_; // path and one call more
  std::set<std::tuple<const Source *, uint32_t, const Source *, uint32_t>> reported_;
  Diagnostic unreported_;
};

} // namespace nnc

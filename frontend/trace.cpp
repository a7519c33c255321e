// The chain of calls, and what is said and recorded along it.
#include "frontend/trace.h"

#include "frontend/names.h"

#include <fmt/format.h>

namespace nnc {

Trace::Trace(Diagnostics &diagnostics, const Source &model) : diagnostics_(diagnostics) {
  sources_ = {&model};
  files = {model.name()};
}

bool Trace::in_library(const Span &span) const { return is_library(span.source); }

Diagnostic &Trace::error(const Span &span, const std::string &message) {
  Span shown = span;
  auto call = calls_.rbegin(); // the call of the function that `shown` lies in
  for (; call != calls_.rend() && in_library(shown); ++call)
    shown = call->at;
  if (!reported_.insert({span.source, span.begin, shown.source, shown.begin}).second)
    return unreported_ = {};
  Diagnostic &diagnostic = diagnostics_.error(shown, message);
  if (shown != span)
    diagnostic.note(span, fmt::format("in `{}` of the standard library", calls_.back().function));
  if (call != calls_.rend())
    diagnostic.note(call->at, fmt::format("in `{}`, called here", call->function));
  return diagnostic;
}

Diagnostic &Trace::error_in_caller(const Span &span, const std::string &message) {
  if (calls_.empty())
    return error(span, message);
  const Frame callee = calls_.back();
  calls_.pop_back();
  Diagnostic &diagnostic = error(span, message);
  calls_.push_back(callee);
  return diagnostic;
}

Diagnostic &Trace::error_of_caller(const Span &span, const std::string &message) {
  if (calls_.empty())
    return error(span, message);
  const Frame callee = calls_.back();
  return error_in_caller(callee.at, message).note(span, fmt::format("required in `{}`", callee.function));
}

void Trace::push(const std::string &function, const Span &at) {
  const int outer = calls_.empty() ? 0 : calls_.back().path;
  Call call{function, loc(at)};
  call.at.path = 0;
  const auto [entry, is_new] =
      path_index_.try_emplace({outer, {function, call.at.file, call.at.line, call.at.column}}, static_cast<int>(paths.size()));
  if (is_new) {
    std::vector<Call> path = paths[outer];
    path.push_back(std::move(call));
    paths.push_back(std::move(path));
  }
  calls_.push_back({function, at, entry->second});
}

int Trace::file_index(const Source *source) {
  for (size_t i = 0; i < sources_.size(); ++i)
    if (sources_[i] == source)
      return static_cast<int>(i);
  sources_.push_back(source);
  files.push_back(source->name());
  return static_cast<int>(files.size()) - 1;
}

Loc Trace::loc(const Span &span) {
  if (!span)
    return {};
  const Place place = span.place();
  return {.file = file_index(span.source),
          .line = place.line,
          .column = place.column,
          .path = calls_.empty() ? 0 : calls_.back().path};
}

Span Trace::span(const Loc &loc) const {
  if (loc.line == 0)
    return {};
  const Source *source = sources_[loc.file];
  const uint32_t begin = source->line_begin(loc.line), end = begin + static_cast<uint32_t>(source->line(loc.line).size());
  uint32_t at = begin;
  while (at < end && source->place(at).column < loc.column)
    ++at;
  return {source, at, end};
}

} // namespace nnc

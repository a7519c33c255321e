// Paths: comparing them, matching patterns, and shortening them for dumps.
#include "frontend/instances.h"

#include <algorithm>
#include <cctype>

namespace nnc {

bool path_before(const std::string &a, const std::string &b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      size_t end_i = i, end_j = j;
      while (end_i < a.size() && is_digit(a[end_i]))
        ++end_i;
      while (end_j < b.size() && is_digit(b[end_j]))
        ++end_j;
      if (end_i - i != end_j - j)
        return end_i - i < end_j - j; // paths have no leading zeros
      if (const int order = a.compare(i, end_i - i, b, j, end_j - j); order != 0)
        return order < 0;
      i = end_i;
      j = end_j;
    } else {
      if (a[i] != b[j])
        return a[i] < b[j];
      ++i;
      ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

bool path_matches(const std::string &pattern, const std::string &path) {
  // Greedy, with two ways back: let the last `*` take one letter more, or where it may not, the last `**`. Stars before those
  // need no other length: what they could give up, the later one can take.
  struct Star {
    size_t after = std::string::npos, taken = 0; // in the pattern; in the path
  } one, any;
  size_t p = 0, s = 0;
  while (s < path.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      const bool is_any = p + 1 < pattern.size() && pattern[p + 1] == '*';
      p += is_any ? 2 : 1;
      (is_any ? any : one) = {p, s};
      if (is_any)
        one = {};
    } else if (p < pattern.size() && s < path.size() && pattern[p] == path[s]) {
      ++p;
      ++s;
    } else if (one.after != pattern.npos && one.taken < path.size() && path[one.taken] != '/') {
      p = one.after;
      s = ++one.taken;
    } else if (any.after != pattern.npos && any.taken < path.size()) {
      one = {};
      p = any.after;
      s = ++any.taken;
    } else {
      return false;
    }
  }
  return true;
}

std::vector<std::string> short_names(const std::vector<std::string> &paths) {
  const auto first_part = [](const std::string &path) { return path.substr(0, path.find('/')); };
  bool shared = !paths.empty();
  for (const std::string &path : paths)
    shared = shared && path.find('/') != path.npos && first_part(path) == first_part(paths[0]);
  std::vector<std::string> names;
  for (const std::string &path : paths) {
    names.push_back(shared ? path.substr(path.find('/') + 1) : path);
    std::replace(names.back().begin(), names.back().end(), '/', '.');
  }
  return names;
}

} // namespace nnc

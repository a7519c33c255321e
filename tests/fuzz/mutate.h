// Texts changed token by token and files changed byte by byte, from a number: the same number gives the same change everywhere.
#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace nnc {

class Numbers { // random ones
public:
  explicit Numbers(uint64_t seed) : random_(seed) {}
  uint64_t below(uint64_t n) { return random_() % n; } // the library's distributions differ from one to another
  bool chance(int percent) { return below(100) < static_cast<uint64_t>(percent); }
  template <typename T> const T &one_of(const std::vector<T> &list) { return list[below(list.size())]; }

private:
  std::mt19937_64 random_;
};

// One lexer for .nn, .nnir and JSON: good enough to cut where words end.
struct Piece {
  enum class Kind : uint8_t { space, name, number, string, sign };
  Kind kind;
  std::string text;
};
std::vector<Piece> pieces_of(std::string_view text);
std::string joined(const std::vector<Piece> &pieces);

class TextMutator {
public:
  // `typed`: how many of 100 changes are change_typed's.
  TextMutator(const std::vector<std::string> &texts, int typed);

  std::string mutant(Numbers &random) const;                      // of one of the texts
  void change(std::vector<Piece> &pieces, Numbers &random) const; // one change

private:
  const std::string &word(Piece::Kind kind, Numbers &random) const;

  std::vector<std::vector<Piece>> texts_;
  int typed_;
  std::map<Piece::Kind, std::vector<std::string>> words_; // all there are, and numbers at the edges
};

// One change of a module's text that keeps its types: a value by another of its type, an op by one that takes the same.
void change_typed(std::vector<Piece> &pieces, Numbers &random);

// Bytes overwritten, put in and taken out, lengths at the edges, the end cut off.
void change_bytes(std::string &bytes, Numbers &random);

} // namespace nnc

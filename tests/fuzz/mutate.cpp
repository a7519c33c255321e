// What is likely to get far is likely to be made: a token is most often replaced by one of its own kind.
#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <set>

namespace nnc {

using std::ptrdiff_t;

namespace {

using Kind = Piece::Kind;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '%'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

constexpr std::string_view signs[] = {"...", "..", "**", "//", "->", "==", "!=", "<=", ">=", ":="};

const std::vector<std::string> edges = {"0",
                                        "1",
                                        "2",
                                        "3",
                                        "4",
                                        "7",
                                        "63",
                                        "64",
                                        "65",
                                        "255",
                                        "256",
                                        "1e-45",
                                        "0.5",
                                        "1000",
                                        "1e38",
                                        "1000000",
                                        "2147483647",
                                        "2147483648",
                                        "1e300",
                                        "100000000000",
                                        "1e400",
                                        "4294967296",
                                        "0.1",
                                        "9007199254740993",
                                        "18446744073709551615"};

bool is_dtype(std::string_view text) {
  return text == "bool" || (text.size() > 1 && text.size() < 5 && (is_digit(text[1]) || text == "bf16"));
}

size_t end_of(std::string_view text, size_t at) {
  const char c = text[at];
  size_t end = at + 1;
  const auto take = [&](auto belongs) {
    while (end < text.size() && belongs(text[end]))
      ++end;
    return end;
  };
  if (is_space(c))
    return c == '\n' ? end : take([](char d) { return is_space(d) && d != '\n'; });
  if (c == '#') {
    return take([](char d) { return d != '\n'; });
  }
  if (is_name_start(c))
    return take([&](char d) { return is_name_start(d) || is_digit(d) || (c == '%' && d == '.'); });
  if (is_digit(c)) {
    take([](char d) { return is_digit(d); });
    if (end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1])) {
      ++end;
      take([](char d) { return is_digit(d); });
    }
    if (end + 1 < text.size() && text[end] == 'e') {
      const size_t sign = text[end + 1] == '-' || text[end + 1] == '+';
      if (end + 1 + sign < text.size() && is_digit(text[end + 1 + sign])) {
        end += 1 + sign;
        take([](char d) { return is_digit(d); });
      }
    }
    return end;
  }
  if (c == '"') {
    take([](char d) { return d != '"' && d != '\n'; });
    return end < text.size() && text[end] == '"' ? end + 1 : end;
  }
  for (std::string_view sign : signs)
    if (text.substr(at).starts_with(sign))
      return at + sign.size();
  return end;
}

Kind kind_of(char c) {
  return is_space(c) || c == '#' ? Kind::space
         : is_name_start(c)      ? Kind::name
         : is_digit(c)           ? Kind::number
         : c == '"'              ? Kind::string
                                 : Kind::sign;
}

} // namespace

std::vector<Piece> pieces_of(std::string_view text) {
  std::vector<Piece> pieces;
  for (size_t at = 0; at < text.size();) {
    const size_t end = end_of(text, at);
    pieces.push_back({kind_of(text[at]), std::string(text.substr(at, end - at))});
    at = end;
  }
  return pieces;
}

std::string joined(const std::vector<Piece> &pieces) {
  std::string text;
  for (const Piece &piece : pieces)
    text += piece.text;
  return text;
}

TextMutator::TextMutator(const std::vector<std::string> &texts, int typed) : typed_(typed) {
  std::map<Kind, std::set<std::string>> words;
  for (const std::string &text : texts) {
    texts_.push_back(pieces_of(text));
    for (const Piece &piece : texts_.back())
      words[piece.kind].insert(piece.text);
  }
  words[Kind::number].insert(edges.begin(), edges.end());
  for (const auto &[kind, set] : words)
    words_[kind].assign(set.begin(), set.end());
}

const std::string &TextMutator::word(Kind kind, Numbers &random) const {
  return random.one_of(kind == Kind::number && random.chance(60) ? edges : words_.at(kind));
}

std::string TextMutator::mutant(Numbers &random) const {
  std::vector<Piece> pieces = random.one_of(texts_);
  do
    random.chance(typed_) ? change_typed(pieces, random) : change(pieces, random);
  while (random.chance(45));
  return joined(pieces);
}

void TextMutator::change(std::vector<Piece> &pieces, Numbers &random) const {
  if (pieces.empty())
    return;
  const auto place = [&] { return static_cast<ptrdiff_t>(random.below(pieces.size())); };
  const auto some = [&](ptrdiff_t from, uint64_t most) {
    return std::min<ptrdiff_t>(static_cast<ptrdiff_t>(pieces.size()) - from, 1 + static_cast<ptrdiff_t>(random.below(most)));
  };
  ptrdiff_t at = place();
  for (int tries = 0; pieces[at].kind == Kind::space && tries < 20; ++tries)
    at = place();
  const auto begin = pieces.begin();
  const Kind kind = pieces[at].kind;
  switch (random.below(16)) {
  case 0:
  case 1:
  case 2:
  case 3:
  case 4: // by one of the same kind from this text
    for (int tries = 0; tries < 20; ++tries)
      if (const Piece &other = pieces[place()]; other.kind == kind && other.text != pieces[at].text) {
        pieces[at].text = std::string(other.text);
        return;
      }
    [[fallthrough]];
  case 5:
  case 6:
  case 7: // … or from any
    pieces[at].text = word(kind, random);
    return;
  case 8: {
    const ptrdiff_t count = some(at, 4);
    pieces.erase(begin + at, begin + at + count);
    return;
  }
  case 9: {
    const ptrdiff_t count = some(at, 6);
    const std::vector<Piece> part(begin + at, begin + at + count);
    pieces.insert(begin + at, part.begin(), part.end());
    return;
  }
  case 10:
    std::swap(pieces[at], pieces[place()]);
    return;
  case 11: { // a part of this text, or of another, somewhere else
    const std::vector<Piece> &from = random.chance(60) ? pieces : random.one_of(texts_);
    if (from.empty())
      return;
    const auto start = static_cast<ptrdiff_t>(random.below(from.size()));
    const auto count =
        std::min<ptrdiff_t>(static_cast<ptrdiff_t>(from.size()) - start, 1 + static_cast<ptrdiff_t>(random.below(12)));
    const std::vector<Piece> part(from.begin() + start, from.begin() + start + count);
    pieces.insert(begin + at, part.begin(), part.end());
    return;
  }
  case 12:
  case 13: { // a line goes, or stands twice
    const auto ends = [](const Piece &piece) { return piece.text == "\n"; };
    const auto first = std::find_if(std::make_reverse_iterator(begin + at), pieces.rend(), ends).base();
    auto last = std::find_if(begin + at, pieces.end(), ends);
    last += last != pieces.end();
    const std::vector<Piece> line(first, last);
    if (random.chance(50))
      pieces.erase(first, last);
    else
      pieces.insert(first, line.begin(), line.end());
    return;
  }
  case 14:
    pieces.insert(begin + at, {Kind::number, word(random.chance(50) ? Kind::sign : Kind::name, random)});
    return;
  default:
    for (Piece &piece : pieces)
      if (piece.kind == Kind::number && random.chance(5))
        piece.text = word(Kind::number, random);
  }
}

namespace {

struct Definition {
  size_t at; // piece
  std::string type;
};

// Where values are defined, and the type that stands there: "%x: f32[2,3] input", "%a, %b = op(…) : f32, i32[2] @3:4".
std::vector<Definition> definitions(const std::vector<Piece> &pieces) {
  std::vector<Definition> found;
  std::vector<size_t> names; // of the line's definition
  bool defines = false;
  int open = 0;
  const auto type_at = [&](size_t at) {
    std::string type;
    for (int inside = 0; at < pieces.size(); ++at) {
      const std::string &part = pieces[at].text;
      inside += (part == "[") - (part == "]");
      if (pieces[at].kind == Kind::space || (part == "," && inside == 0) || part == ")")
        break;
      type += part;
    }
    return type;
  };
  for (size_t i = 0, typed = 0; i < pieces.size(); ++i) {
    const std::string &text = pieces[i].text;
    if (text == "\n") {
      names.clear();
      defines = false;
      typed = 0;
      open = 0;
    }
    open += (text == "(") - (text == ")");
    if (text[0] == '%' && !defines && i + 2 < pieces.size() && pieces[i + 1].text == ":")
      found.push_back({i, type_at(i + 3)});
    else if (text[0] == '%' && !defines)
      names.push_back(i);
    defines = defines || (text == "=" && !names.empty() && open == 0);
    if (defines && open == 0 && typed < names.size() && is_dtype(text))
      found.push_back({names[typed++], type_at(i)});
  }
  return found;
}

const std::vector<std::vector<std::string>> kinds_of_ops = {
    {"neg", "abs", "exp", "log", "sin", "cos", "tanh", "erf", "sqrt", "floor", "round", "stop_gradient"},
    {"add", "sub", "mul", "div", "rem", "maximum", "minimum"},
    {"sum", "prod", "max", "min", "variance"},
    {"eq", "lt"},
    {"logical_and", "logical_or"},
};

} // namespace

void change_typed(std::vector<Piece> &pieces, Numbers &random) {
  const std::vector<Definition> defined = definitions(pieces);
  for (int tries = 0; tries < 50 && !pieces.empty(); ++tries) {
    const size_t at = random.below(pieces.size());
    std::string &text = pieces[at].text;
    const auto last = std::ranges::find_if(defined.rbegin(), defined.rend(),
                                           [&](const Definition &d) { return d.at <= at && pieces[d.at].text == text; });
    if (last != defined.rend() && last->at != at) {
      std::vector<std::string> same;
      for (const Definition &other : defined)
        if (other.type == last->type && other.at < at && pieces[other.at].text != text)
          same.push_back(pieces[other.at].text);
      if (!same.empty()) {
        text = random.one_of(same);
        return;
      }
    }
    for (const std::vector<std::string> &ops : kinds_of_ops)
      if (std::ranges::find(ops, text) != ops.end()) {
        text = random.one_of(ops);
        return;
      }
  }
}

void change_bytes(std::string &bytes, Numbers &random) {
  static const std::vector<int64_t> lengths = {
      0,     1,     -1,        2,         127,       128,       255,       256,       -256,      32767,
      65535, 65536, INT32_MAX, INT32_MIN, 1ll << 32, 1ll << 40, INT64_MAX, INT64_MIN, 1ll << 62, 0x7fffffff00000000};
  const auto place = [&] {
    return bytes.empty() ? 0 : random.below(std::min<size_t>(bytes.size(), random.chance(70) ? 256 : bytes.size()));
  };
  switch (random.below(10)) {
  case 0:
  case 1:
  case 2:
    if (!bytes.empty())
      bytes[place()] ^= static_cast<char>(1u << random.below(8));
    return;
  case 3:
    if (!bytes.empty())
      bytes[place()] = static_cast<char>(random.below(256));
    return;
  case 4:
  case 5: { // in either byte order
    int64_t length = random.one_of(lengths);
    const size_t size = size_t{1} << random.below(4);
    char raw[sizeof length];
    std::memcpy(raw, &length, sizeof length);
    if (random.chance(50))
      std::reverse(raw, raw + size);
    if (const size_t at = place(); at + size <= bytes.size())
      std::memcpy(bytes.data() + at, raw, size);
    return;
  }
  case 6:
    bytes.resize(place());
    return;
  case 7:
    bytes.insert(place(), 1 + random.below(16), static_cast<char>(random.below(256)));
    return;
  case 8:
    if (!bytes.empty())
      bytes.erase(place(), 1 + random.below(16));
    return;
  default: {
    const size_t from = place(), count = 1 + random.below(32);
    bytes.insert(place(), bytes.substr(from, count));
  }
  }
}

} // namespace nnc

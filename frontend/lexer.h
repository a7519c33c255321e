// Text to tokens and comments.
#pragma once

#include "frontend/ast.h"

#include <string>
#include <string_view>
#include <vector>

namespace nnc {

enum class Tok : uint8_t {
  end,      // of the file
  line_end, // of a statement: a line end that counts, or `;`
  name,
  number,
  string,
  invalid,   // reported already
  assign_op, // += -= *= … : no part of the language, kept together for the message
#define WORD(id, text) id,
#define SIGN(id, text) id,
#include "frontend/tokens.def"
};

struct Token {
  Tok kind = Tok::end;
  bool first = false; // on its line
  uint32_t begin = 0, end = 0;
};

struct Tokens {
  std::vector<Token> tokens; // the last is Tok::end
  std::vector<ast::Comment> comments;
};

// Reports what is no token and goes on. A text that is not UTF-8, or holds a zero byte, is reported once and gives none.
Tokens lex(const Source &source, Diagnostics &diagnostics);

bool starts_declaration(Tok kind); // use const fn net optimizer entry: only at file level
bool starts_statement(Tok kind);   // param state for scan yield if require update return

// The characters that the inside of a string literal stands for; escapes are \" \\ \n \t.
std::string unescape(std::string_view inside);

} // namespace nnc

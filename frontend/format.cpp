// Lays a file out token by token. The parser only says whether the file is sound: brackets and braces then match, and a line
// end that ends a statement is a token of its own. What depends on the author's lines is asked of Token::first alone, never of
// a width or column of the source, so that a laid-out file comes out as it went in; the exception, columns of `=`, says why.
//
// Rules: two spaces a block; a statement a line, though short declarations may share one with `;`, and a block written on one
// line stays there while it has one statement. Lines inside a bracket stand behind it, or two spaces further in than its line
// where the bracket ends the line; other lines that go on stand two spaces further in, or behind `return` and `yield`.
// Comments at line ends stand two spaces away, in one column on neighbouring lines.
#include "frontend/format.h"

#include "frontend/lexer.h"
#include "frontend/parser.h"

#include <algorithm>

namespace nnc {

namespace {

constexpr size_t indent_width = 2, widest_shared_line = 100;

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

bool ends_operand(Tok kind) {
  return kind == Tok::name || kind == Tok::number || kind == Tok::string || kind == Tok::close_paren ||
         kind == Tok::close_bracket || kind == Tok::kw_true || kind == Tok::kw_false;
}
bool opens(Tok kind) { return kind == Tok::open_paren || kind == Tok::open_bracket; }
bool closes(Tok kind) { return kind == Tok::close_paren || kind == Tok::close_bracket; }
bool is_declaration(Tok kind) { return kind == Tok::kw_const || kind == Tok::kw_param || kind == Tok::kw_state; }

struct Line {
  std::string code, comment;
  size_t indent = 0;
  size_t equals = 0;        // where in `code` the `=` of its first statement stands; 0: there is none
  size_t source_column = 0; // of that `=`
  bool padded = false;      // the author put more than one space before it
};

class Formatter {
public:
  Formatter(const Source &source, Tokens lexed)
      : source_(source), text_(source.text()), tokens_(std::move(lexed.tokens)), comments_(std::move(lexed.comments)) {
    find_blocks();
  }

  std::string run() {
    for (at_ = 0; at_ < tokens_.size(); ++at_) {
      const Token &token = tokens_[at_];
      for (; next_comment_ < comments_.size() && comments_[next_comment_].span.begin < token.begin; ++next_comment_)
        comment(comments_[next_comment_]);
      if (token.kind == Tok::line_end)
        statement_ended_ = true;
      else if (token.kind != Tok::end)
        this->token(token);
    }
    for (; next_comment_ < comments_.size(); ++next_comment_)
      comment(comments_[next_comment_]);
    align_equals();
    return joined();
  }

private:
  struct Bracket {
    size_t line_indent, content_indent;
    bool hangs; // ends its line
    bool square;
  };

  const Source &source_;
  std::string_view text_;
  std::vector<Token> tokens_;
  std::vector<ast::Comment> comments_;
  std::vector<bool> one_line_; // of the `{` at this index
  size_t at_ = 0, next_comment_ = 0;

  std::vector<Line> lines_;
  std::vector<bool> blocks_; // that are open: on one line or not
  std::vector<Bracket> brackets_;
  bool statement_ended_ = true; // before the next token
  bool block_opened_ = true;    // nothing stands in this block yet
  bool unary_ = false;          // the last token was a sign before its operand
  bool has_equals_ = false;     // the statement has had its `=`
  Tok last_ = Tok::line_end, statement_ = Tok::line_end;
  size_t goes_on_indent_ = 0; // of a statement's lines outside brackets
  uint32_t last_end_ = 0;     // in the source, of the last token or comment

  std::string_view text(const Token &token) const { return text_.substr(token.begin, token.end - token.begin); }
  Line &line() { return lines_.back(); }
  size_t block_indent() const { return indent_width * static_cast<size_t>(std::ranges::count(blocks_, false)); }

  // A block stays on one line where it has no line end, no comment and at most one statement.
  void find_blocks() {
    one_line_.resize(tokens_.size());
    std::vector<size_t> open;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].kind == Tok::open_brace)
        open.push_back(i);
      if (tokens_[i].kind != Tok::close_brace)
        continue;
      const size_t begin = open.back();
      open.pop_back();
      bool one_line = true;
      for (size_t k = begin + 1; k <= i; ++k) {
        const bool between =
            tokens_[k].kind == Tok::line_end && tokens_[k - 1].kind != Tok::open_brace && tokens_[k + 1].kind != Tok::close_brace;
        one_line = one_line && !tokens_[k].first && !between;
      }
      const auto comment = std::ranges::lower_bound(comments_, tokens_[begin].begin, {},
                                                    [](const ast::Comment &comment) { return comment.span.begin; });
      one_line_[begin] = one_line && (comment == comments_.end() || comment->span.begin > tokens_[i].begin);
    }
  }

  void new_line(size_t indent) {
    lines_.emplace_back();
    line().indent = indent;
    line().code.assign(indent, ' ');
  }
  // Keeps one blank line of those before `begin`, but none at the begin of a block or of the file.
  void new_statement_line(size_t indent, uint32_t begin) {
    const std::string_view between = text_.substr(last_end_, begin - last_end_);
    if (!block_opened_ && std::ranges::count(between, '\n') > 1)
      lines_.emplace_back();
    block_opened_ = false;
    new_line(indent);
  }
  size_t column() { return characters(line().code); }
  size_t indent_inside() const { return brackets_.empty() ? goes_on_indent_ : brackets_.back().content_indent; }

  void comment(const ast::Comment &comment) {
    std::string_view words = comment.span.text();
    words = words.substr(0, words.find_last_not_of(" \t") + 1);
    if (!comment.alone) {
      line().comment = words;
    } else {
      statement_ended_ ? new_statement_line(block_indent(), comment.span.begin) : new_line(indent_inside());
      line().code += words;
    }
    last_end_ = comment.span.end;
  }

  void token(const Token &token) {
    if (token.kind == Tok::close_brace)
      close_block();
    else if (statement_ended_ || last_ == Tok::open_brace)
      begin_statement(token);
    else if (token.first)
      go_on(token);
    else if (wants_space(last_, token.kind))
      line().code += ' ';
    if ((token.kind == Tok::assign || token.kind == Tok::colon_assign) && brackets_.empty() && !has_equals_)
      note_equals(token);
    unary_ = (token.kind == Tok::minus || token.kind == Tok::plus) && !ends_operand(last_);
    line().code += text(token);
    if (token.kind == Tok::open_brace) {
      blocks_.push_back(one_line_[at_]);
      block_opened_ = true;
    }
    if (opens(token.kind)) {
      const bool hangs = tokens_[at_ + 1].first;
      brackets_.push_back(
          {line().indent, hangs ? line().indent + indent_width : column(), hangs, token.kind == Tok::open_bracket});
    }
    if (closes(token.kind))
      brackets_.pop_back();
    if (token.kind == Tok::kw_return || token.kind == Tok::kw_yield)
      goes_on_indent_ = column() + 1;
    last_ = token.kind;
    last_end_ = token.end;
    statement_ended_ = false;
  }

  void begin_statement(const Token &token) {
    if (!blocks_.empty() && blocks_.back())
      line().code += ' ';
    else if (shares_line(token))
      line().code += "; ";
    else
      new_statement_line(block_indent(), token.begin);
    statement_ = token.kind;
    has_equals_ = !blocks_.empty() && blocks_.back(); // inside a line there is nothing to align
    goes_on_indent_ = line().indent + indent_width;
  }

  // The author wrote `;` between two declarations, and both fit.
  bool shares_line(const Token &token) {
    if (lines_.empty() || token.first || last_ == Tok::open_brace || !is_declaration(statement_) || !is_declaration(token.kind))
      return false;
    size_t width = column() + 2;
    for (size_t i = at_; tokens_[i].kind != Tok::line_end && tokens_[i].kind != Tok::end; ++i) {
      if (tokens_[i].first)
        return false;
      width += characters(text(tokens_[i])) + 1; // a little too much, but the same whatever the author's blanks
    }
    return width <= widest_shared_line;
  }

  void go_on(const Token &token) {
    const bool closes_hanging = closes(token.kind) && !brackets_.empty() && brackets_.back().hangs;
    new_line(closes_hanging ? brackets_.back().line_indent : indent_inside());
  }

  void close_block() {
    const bool one_line = blocks_.back();
    blocks_.pop_back();
    if (!one_line)
      new_line(block_indent());
    else if (last_ != Tok::open_brace)
      line().code += ' ';
    block_opened_ = false;
  }

  bool wants_space(Tok before, Tok token) const {
    const bool in_subscript = !brackets_.empty() && brackets_.back().square;
    if (token == Tok::dot)
      return before == Tok::number; // `7 .T`: `7.` is no number
    if (opens(before) || closes(token) || token == Tok::comma || before == Tok::dot)
      return false;
    if (before == Tok::range || token == Tok::range) // `0.. .5`: no third point
      return before == Tok::range && text_[tokens_[at_].begin] == '.';
    if (token == Tok::colon)
      return before == Tok::comma; // x[:, ::2]
    if (before == Tok::colon && in_subscript)
      return false;
    if (unary_)
      return false;
    return !(opens(token) && ends_operand(before));
  }

  void note_equals(const Token &token) {
    has_equals_ = true;
    if (line().equals)
      return; // of a declaration behind `;`
    line().equals = line().code.size();
    line().source_column = static_cast<size_t>(source_.place(token.begin).column);
    line().padded = text_.substr(0, token.begin).ends_with("  ");
  }

  // Neighbouring lines whose `=` the author wrote in one column keep one column, if it took padding to get there. Laid out, a
  // group has one column still, so it is a group again; a line that has this column by chance loses nothing by joining it.
  void align_equals() {
    for (size_t begin = 0, end; begin < lines_.size(); begin = end) {
      const Line &first = lines_[begin];
      size_t widest = 0;
      bool padded = false;
      for (end = begin; end < lines_.size() && lines_[end].equals && lines_[end].source_column == first.source_column &&
                        lines_[end].indent == first.indent;
           ++end) {
        widest = std::max(widest, lines_[end].equals);
        padded |= lines_[end].padded;
      }
      end = std::max(end, begin + 1);
      for (size_t i = begin; padded && end - begin > 1 && i < end; ++i)
        lines_[i].code.insert(lines_[i].equals, widest - lines_[i].equals, ' ');
    }
  }

  std::string joined() const {
    std::string out;
    for (size_t begin = 0, end; begin < lines_.size(); begin = end) {
      size_t widest = 0;
      for (end = begin; end < lines_.size() && !lines_[end].comment.empty(); ++end)
        widest = std::max(widest, characters(lines_[end].code));
      end = std::max(end, begin + 1);
      for (size_t i = begin; i < end; ++i) {
        const Line &line = lines_[i];
        out += line.code;
        if (!line.comment.empty())
          out += std::string(widest - characters(line.code) + 2, ' ') + line.comment;
        out += '\n';
      }
    }
    return out;
  }
};

} // namespace

std::string formatted(const Source &source, Diagnostics &diagnostics) {
  parse(source, diagnostics);
  if (diagnostics.has_errors())
    return "";
  return Formatter(source, lex(source, diagnostics)).run();
}

} // namespace nnc

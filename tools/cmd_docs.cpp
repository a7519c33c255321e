// `nnc docs`: the reference pages of the standard library and of the op table, made from what is built in: the sources of the
// library with their comments, and ops.def with the table of derivatives. docs/stdlib.md and docs/ops.md are what it prints; a
// test holds them against it.
#include "frontend/parser.h"
#include "frontend/standard_library.h"
#include "ir/error.h"
#include "ir/op.h"
#include "passes/grad_rules.h"
#include "runtime/file.h"
#include "tools/command_files.h"
#include "tools/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace nnc {

namespace {

const HelpPage page = {"  nnc docs --std                        the standard library\n"
                       "  nnc docs --ops                        the ops of the IR\n"
                       "  nnc docs -o DIR                       both, as DIR/stdlib.md and DIR/ops.md\n",
                       "Prints reference pages in Markdown, made from the sources that this nnc was built from.",
                       "  nnc docs -o docs                      after a change of frontend/std or ir/ops.def\n"};

// The comment at the begin of a file, up to the first line that is none, without `#`; "" if it is that of a declaration.
std::string head_comment(const ast::File &file) {
  std::string head;
  uint32_t end = 0;
  const std::string_view text = file.source->text();
  for (const ast::Comment &comment : file.comments) {
    if (comment.span.begin != end)
      break;
    std::string_view words = comment.span.text().substr(1);
    head += std::string(words.starts_with(' ') ? words.substr(1) : words) + "\n";
    end = std::min<uint32_t>(comment.span.end + 1, static_cast<uint32_t>(text.size()));
  }
  return text.substr(end).starts_with("\n") ? head : "";
}

// A declaration as it starts: comment and signature, or the whole of a const.
std::string declaration(const ast::Item &item) {
  const auto *func = item.as<ast::Func>();
  const auto *constant = item.as<ast::Const>();
  std::string doc = func ? func->doc : constant ? constant->doc : "", text;
  for (size_t begin = 0; begin < doc.size();) {
    const size_t end = std::min(doc.find('\n', begin), doc.size());
    text += end > begin ? "# " + doc.substr(begin, end - begin) + "\n" : "#\n";
    begin = end + 1;
  }
  return text + std::string(func ? func->head.text() : item.span.text()) + "\n";
}

std::string library_page() {
  std::string text =
      "# The standard library\n\nMade by `nnc docs` from `frontend/std/*.nn`; change those. Every model may use these "
      "functions, and a model's own hide them.\nWhat they are made of is in [language.md](language.md#built-in-functions).\n";
  for (const LibraryFile &library : standard_library()) {
    const Source source(std::string(library.name), std::string(library.text));
    Diagnostics diagnostics;
    const ast::File file = parse(source, diagnostics);
    text += fmt::format("\n## {}\n\n{}\n```nn\n", library.name, head_comment(file));
    uint32_t last_end = 0;
    for (const ast::Item &item : file.items) {
      // Those without a line between them belong together: the comment above the first is for all.
      const std::string_view between = source.text().substr(last_end, item.span.begin - last_end);
      if (last_end != 0 && between.find("\n\n") != std::string_view::npos)
        text += "\n";
      text += declaration(item);
      last_end = item.span.end;
    }
    text += "```\n";
  }
  return text;
}

std::string cell(std::string_view words) {
  std::string text;
  for (char c : words)
    text += std::string(c == '|' || c == '*' || c == '_' || c == '<' ? "\\" : "") + c;
  return text;
}

std::string_view derivative(Op op) {
  if (family(op) == Family::structure)
    return "";
  switch (grad_row(op).flow) {
  case Flow::rule:
    return "yes";
  case Flow::nothing:
    return "0";
  case Flow::refused:
    return "refused";
  }
  return "";
}

std::string op_row(Op op) {
  const OpInfo &info = op_info(op);
  std::vector<std::string_view> attrs;
  for (AttrKey key : info.attrs)
    attrs.push_back(attr_name(key));
  return fmt::format("| `{}` | {} | {} | {} | {} |\n", info.name, info.operands < 0 ? "1 or more" : std::to_string(info.operands),
                     fmt::join(attrs, ", "), cell(info.doc), derivative(op));
}

std::string op_page() {
  std::string text =
      "# The ops of the IR\n\nMade by `nnc docs` from `ir/ops.def` and `passes/grad_rules.cpp`; change those. What "
      "the families share is in [ir.md](ir.md).\nDerivative: `0`, nothing flows through the op; `refused`, an error "
      "where it is on the way from x to y.\n";
  const std::pair<Family, std::string_view> families[] = {{Family::elementwise, "Elementwise"}, {Family::view, "Views"},
                                                          {Family::reduce, "Reductions"},       {Family::indexed, "Indexed"},
                                                          {Family::contract, "Contraction"},    {Family::structure, "Structure"}};
  std::vector<Op> ops = {Op::arg, Op::constant, Op::fused, Op::grad, Op::scan};
  ops.insert(ops.end(), all_ops().begin(), all_ops().end());
  for (const auto &[which, title] : families) {
    text += fmt::format("\n## {}\n\n| op | operands | attributes | result | derivative |\n|---|---|---|---|---|\n", title);
    for (Op op : ops)
      if (family(op) == which)
        text += op_row(op);
  }
  return text;
}

} // namespace

int docs_command(int argc, const char *const *argv) {
  Words words({});
  cl::opt<bool> library("std", cl::desc("print the page of the standard library"), cl::cat(general_options()));
  cl::opt<bool> ops("ops", cl::desc("print the page of the ops"), cl::cat(general_options()));
  cl::opt<std::string> folder("o", cl::desc("write both pages there"), cl::value_desc("DIR"), cl::cat(general_options()));
  if (!parse_command_line(argc, argv, page))
    return 0;
  words.get();
  if (library + ops + !folder.empty() != 1)
    throw Error("say one of --std, --ops and -o DIR (see `nnc docs --help`)");
  if (folder.empty()) {
    fmt::print("{}", library ? library_page() : op_page());
    return 0;
  }
  CommandFiles files;
  files.writes("", folder + "/stdlib.md", "the page of the standard library");
  files.writes("", folder + "/ops.md", "the page of the ops");
  write_file(folder + "/stdlib.md", library_page());
  write_file(folder + "/ops.md", op_page());
  return 0;
}

} // namespace nnc

// File-level names, and two questions asked of the bare tree: who owns parameters, and where an `update` stands.
#include "frontend/names.h"

#include "frontend/builtins.h"
#include "frontend/foreign.h"
#include "frontend/parser.h"
#include "frontend/standard_library.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <memory>

namespace nnc {

namespace {

// Calls `on_stmt` for every statement of a block and the blocks in it, `on_ref` for every name used in an expression.
struct Walk {
  std::function<void(const ast::Stmt &)> on_stmt;
  std::function<void(const std::string &)> on_ref;

  void block(const ast::Block &block) const {
    for (const ast::Stmt &stmt : block.statements)
      statement(stmt);
  }

  void statement(const ast::Stmt &stmt) const {
    on_stmt(stmt);
    if (auto *decl = stmt.as<ast::Decl>()) {
      expr(decl->initialiser);
    } else if (auto *assign = stmt.as<ast::Assign>()) {
      exprs(assign->values);
    } else if (auto *loop = stmt.as<ast::Loop>()) {
      expr(loop->sequence);
      expr(loop->axis);
      block(loop->body);
    } else if (auto *yield = stmt.as<ast::Yield>()) {
      exprs(yield->values);
    } else if (auto *choice = stmt.as<ast::If>()) {
      for (const ast::If::Branch &branch : choice->branches) {
        expr(branch.condition);
        block(branch.body);
      }
      if (choice->otherwise)
        block(*choice->otherwise);
    } else if (auto *require = stmt.as<ast::Require>()) {
      expr(require->condition);
    } else if (auto *update = stmt.as<ast::Update>()) {
      args(update->args);
    } else if (auto *result = stmt.as<ast::Return>()) {
      args(result->values);
    }
  }

  void exprs(const std::vector<ast::ExprPtr> &list) const {
    for (const ast::ExprPtr &e : list)
      expr(e);
  }
  void args(const std::vector<ast::Arg> &list) const {
    for (const ast::Arg &arg : list)
      expr(arg.value);
  }
  void expr(const ast::ExprPtr &e) const {
    if (!e)
      return;
    if (auto *ref = e->as<ast::Ref>()) {
      on_ref(ref->name);
    } else if (auto *list = e->as<ast::List>()) {
      exprs(list->items);
    } else if (auto *unary = e->as<ast::Unary>()) {
      expr(unary->operand);
    } else if (auto *binary = e->as<ast::Binary>()) {
      expr(binary->left);
      for (const ast::Binary::Link &link : binary->links)
        expr(link.right);
    } else if (auto *call = e->as<ast::Call>()) {
      expr(call->callee);
      args(call->args);
    } else if (auto *index = e->as<ast::Index>()) {
      expr(index->base); // subscripts are numbers
    } else if (auto *transpose = e->as<ast::Transpose>()) {
      expr(transpose->base);
    }
  }
};

} // namespace

const std::vector<ast::File> &library_files() {
  struct Library {
    std::vector<std::unique_ptr<Source>> sources;
    std::vector<ast::File> files;
    Library() {
      for (const LibraryFile &file : standard_library()) {
        sources.push_back(std::make_unique<Source>("std/" + std::string(file.name), std::string(file.text)));
        Diagnostics diagnostics;
        files.push_back(parse(*sources.back(), diagnostics));
        diagnostics.throw_if_errors();
      }
    }
  };
  static const Library library;
  return library.files;
}

bool is_library(const Source *source) {
  const std::vector<ast::File> &files = library_files();
  return std::any_of(files.begin(), files.end(), [&](const ast::File &file) { return file.source == source; });
}

Names::Names(const Files &files, Diagnostics &diagnostics) {
  std::vector<const ast::File *> all = {&files.model()};
  for (const ast::File &file : files.used())
    all.push_back(&file);
  std::unordered_map<const Source *, Places> places;
  for (const ast::File *file : all)
    add(*file, files_[file->source], places[file->source], diagnostics);
  for (const auto &[_, func] : files_[files.model().source].functions)
    if (func->kind == ast::Func::Kind::entry)
      entries_.push_back(func);
  std::sort(entries_.begin(), entries_.end(), [](auto *a, auto *b) { return a->head.begin < b->head.begin; });
  for (const ast::File *file : all)
    for (const ast::Item &item : file->items)
      if (auto *use = item.as<ast::Use>())
        import(*use, files.of(*use), files_[file->source], places[file->source], diagnostics);
  Places of_library;
  for (const ast::File &file : library_files())
    add(file, library_, of_library, diagnostics);
  find_owners();
}

void Names::add(const ast::File &file, Table &table, Places &places, Diagnostics &diagnostics) {
  const auto declare = [&](auto &by_name, auto &taken, const auto &item) {
    const auto [first, is_new] = taken.try_emplace(item.name.text, item.name.span);
    if (is_new)
      by_name[item.name.text] = &item;
    else
      diagnostics.error(item.name.span, fmt::format("`{}` is declared twice", item.name.text)).note(first->second, "first here");
  };
  for (const ast::Item &item : file.items) {
    if (auto *func = item.as<ast::Func>()) {
      declare(table.functions, places.functions, *func);
      std::unordered_map<std::string, Span> parameters;
      for (const ast::Parameter &parameter : func->parameters)
        if (const auto [first, is_new] = parameters.try_emplace(parameter.name.text, parameter.span); !is_new)
          diagnostics.error(parameter.name.span, fmt::format("two parameters are called `{}`", parameter.name.text))
              .note(first->second, "first here");
    } else if (auto *constant = item.as<ast::Const>())
      declare(table.constants, places.values, *constant);
    else if (auto *decl = item.as<ast::Decl>())
      declare(table.decls, places.values, *decl);
  }
}

// What the file declares under these names, be it a function or a value.
void Names::import(const ast::Use &use, const ast::File *from, Table &table, Places &places, Diagnostics &diagnostics) {
  for (const ast::Name &name : use.names) {
    bool found = false;
    Closest closest(name.text);
    const auto take = [&](auto &by_name, auto &taken, const auto &item) {
      closest.compare(item.name.text);
      if (item.name.text != name.text)
        return;
      const auto [first, is_new] = taken.try_emplace(name.text, name.span);
      if (is_new)
        by_name[name.text] = &item;
      else if (!found) // a function and a value of one name are used together
        diagnostics.error(name.span, fmt::format("`{}` is declared twice", name.text)).note(first->second, "first here");
      found = true;
    };
    for (size_t i = 0; from && i < from->items.size(); ++i) {
      const ast::Item &item = from->items[i];
      if (auto *func = item.as<ast::Func>()) {
        if (func->kind != ast::Func::Kind::entry) {
          take(table.functions, places.functions, *func);
        } else if (func->name.text == name.text) {
          diagnostics.error(name.span,
                            fmt::format("`{}` is an entry of {}: it is called from outside only", name.text, use.path));
          found = true;
        }
      } else if (auto *constant = item.as<ast::Const>()) {
        take(table.constants, places.values, *constant);
      } else if (auto *decl = item.as<ast::Decl>()) {
        take(table.decls, places.values, *decl);
      }
    }
    if (!found || !(table.functions.count(name.text) || table.constants.count(name.text) || table.decls.count(name.text)))
      missing_.insert(name.text);
    if (from && !found)
      diagnostics.error(name.span, fmt::format("{} declares no `{}`{}", use.path, name.text, closest.hint()));
  }
}

// From the functions that declare something themselves, back along the uses. A net keeps what is below it to itself.
void Names::find_owners() {
  std::unordered_map<const ast::Func *, std::vector<const ast::Func *>> users;
  std::vector<const ast::Func *> found;
  std::vector<const Table *> tables = {&library_};
  for (const auto &[_, table] : files_)
    tables.push_back(&table);
  for (const Table *table : tables)
    for (const auto &[_, func] : table->functions) {
      if (func->kind == ast::Func::Kind::net)
        continue;
      bool declares = false;
      Walk walk;
      walk.on_stmt = [&](const ast::Stmt &stmt) { declares = declares || stmt.as<ast::Decl>(); };
      walk.on_ref = [&, user = func](const std::string &name) {
        if (const ast::Func *used = function(name, user->name.span.source))
          users[used].push_back(user);
      };
      walk.block(func->body);
      for (const ast::Parameter &parameter : func->parameters)
        walk.expr(parameter.default_value);
      if (declares)
        found.push_back(func);
    }
  while (!found.empty()) {
    const ast::Func *func = found.back();
    found.pop_back();
    if (owners_.insert(func).second)
      found.insert(found.end(), users[func].begin(), users[func].end());
  }
}

std::string Names::did_you_mean(const std::string &name, Meant meant, const std::vector<std::string> &names,
                                const Source *user) const {
  using Kind = ast::Func::Kind;
  Closest closest(name);
  for (const std::string &known : names)
    closest.compare(known);
  for (const Table *table : seen_by(user)) {
    for (const auto &[known, func] : table->functions)
      if (meant == Meant::optimizer ? func->kind == Kind::optimizer : meant != Meant::value || func->kind != Kind::optimizer)
        closest.compare(known);
    if (meant == Meant::function || meant == Meant::optimizer)
      continue;
    for (const auto &[known, _] : table->constants)
      closest.compare(known);
    for (const auto &[known, _] : table->decls)
      closest.compare(known);
  }
  if (meant != Meant::optimizer)
    for (const Builtin &builtin : builtins())
      closest.compare(builtin.name);
  return closest.hint();
}

bool has_update(const ast::Block &block) {
  bool found = false;
  Walk walk;
  walk.on_stmt = [&](const ast::Stmt &stmt) { found = found || stmt.as<ast::Update>(); };
  walk.on_ref = [](const std::string &) {};
  walk.block(block);
  return found;
}

} // namespace nnc

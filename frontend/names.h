// Names: what is declared at file level, in the model and in the standard library, and who owns parameters.
#pragma once

#include "frontend/ast.h"
#include "frontend/files.h"

#include <array>
#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace nnc {

// The standard library's files, parsed once.
const std::vector<ast::File> &library_files();
bool is_library(const Source *source);

class Names {
public:
  // Reports two declarations of one name in a file, and names that a used file does not have.
  Names(const Files &files, Diagnostics &diagnostics);

  // What `name` means in the text of `user`. A file sees its own names, those it uses, and the library's, which the others hide;
  // the library sees its own only.
  const ast::Func *function(const std::string &name, const Source *user) const { return find(&Table::functions, name, user); }
  const ast::Const *constant(const std::string &name, const Source *user) const { return find(&Table::constants, name, user); }
  const ast::Decl *decl(const std::string &name, const Source *user) const { return find(&Table::decls, name, user); }
  const std::vector<const ast::Func *> &entries() const { return entries_; }      // the model's
  bool is_missing(const std::string &name) const { return missing_.count(name); } // said at its `use`

  // Does a call of `func` declare parameters or state of the caller's: itself, or by calling such a function? A net's are its
  // own. By the text alone, so that branches not taken do not change the numbers of calls.
  bool owns(const ast::Func &func) const { return owners_.count(&func); }

  // " (did you mean `x`?)" if one of `names`, or a name that `user` sees and that can stand there, is close; else "".
  enum class Meant : uint8_t { value, function, optimizer };
  std::string did_you_mean(const std::string &name, Meant meant, const std::vector<std::string> &names, const Source *user) const;

private:
  template <typename T> using ByName = std::unordered_map<std::string, const T *>;
  struct Table {
    ByName<ast::Func> functions;
    ByName<ast::Const> constants;
    ByName<ast::Decl> decls;
  };
  struct Places { // where the names of a file were declared or used; functions and values may share names
    std::unordered_map<std::string, Span> functions, values;
  };
  // The tables in which `user` looks names up, in this order; the library has one only.
  std::array<const Table *, 2> seen_by(const Source *user) const {
    const auto own = files_.find(user);
    return {own == files_.end() ? &library_ : &own->second, &library_};
  }
  template <typename T> const T *find(ByName<T> Table::*kind, const std::string &name, const Source *user) const {
    for (const Table *table : seen_by(user))
      if (const auto found = (table->*kind).find(name); found != (table->*kind).end())
        return found->second;
    return nullptr;
  }
  void add(const ast::File &file, Table &table, Places &places, Diagnostics &diagnostics);
  void import(const ast::Use &use, const ast::File *from, Table &table, Places &places, Diagnostics &diagnostics);
  void find_owners();

  std::unordered_map<const Source *, Table> files_; // the model's and those of used ones
  Table library_;
  std::unordered_set<std::string> missing_;
  std::vector<const ast::Func *> entries_;
  std::unordered_set<const ast::Func *> owners_;
};

// Does the entry run `update`, so that it is in training?
bool has_update(const ast::Block &block);

} // namespace nnc

// Names: what is declared at file level, in the model and in the standard library, and who owns parameters.
#pragma once

#include "frontend/ast.h"
#include "frontend/diagnostics.h"

#include <map>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace nnc {

// The standard library's files, parsed once.
const std::vector<ast::File> &library_files();

class Names {
public:
  // Reports two declarations of one name in the model.
  Names(const ast::File &model, Diagnostics &diagnostics);

  // What `name` means in the text of `user`. The model's own names hide the library's, but not from the library itself.
  const ast::Func *function(const std::string &name, const Source *user) const { return find(&Table::functions, name, user); }
  const ast::Const *constant(const std::string &name, const Source *user) const { return find(&Table::constants, name, user); }
  const ast::Decl *decl(const std::string &name, const Source *user) const { return find(&Table::decls, name, user); }
  const std::vector<const ast::Func *> &entries() const { return entries_; }

  // Does a call of `func` declare parameters or state of the caller's: itself, or by calling such a function? A net's are its
  // own. By the text alone, so that branches not taken do not change the numbers of calls.
  bool owns(const ast::Func &func) const { return owners_.count(&func); }

  // " (did you mean `x`?)" if one of `names`, or a name of the library or the model, is close; else "".
  std::string did_you_mean(const std::string &name, const std::vector<std::string> &names) const;

private:
  template <typename T> using ByName = std::unordered_map<std::string, const T *>;
  struct Table {
    ByName<ast::Func> functions;
    ByName<ast::Const> constants;
    ByName<ast::Decl> decls;
  };
  template <typename T> const T *find(ByName<T> Table::*kind, const std::string &name, const Source *user) const {
    for (const Table *table : {&own_, &library_}) {
      auto found = (table->*kind).find(name);
      if (found != (table->*kind).end() && (table == &library_ || user == model_))
        return found->second;
    }
    return nullptr;
  }
  void add(const ast::File &file, Table &table, Diagnostics &diagnostics);
  void find_owners();

  const Source *model_;
  Table own_, library_;
  std::vector<const ast::Func *> entries_;
  std::unordered_set<const ast::Func *> owners_;
};

// Does the entry run `update`, so that it is in training?
bool has_update(const ast::Block &block);

} // namespace nnc

// The files a model is made of: itself, and what it and they `use`.
#pragma once

#include "frontend/ast.h"
#include "frontend/frontend.h"

#include <list>
#include <map>

namespace nnc {

class Files {
public:
  // Reads and parses every file that `use` leads to, each once. Reports files that cannot be read, that do not parse, and
  // files that use each other in a circle.
  Files(const ast::File &model, UsedFiles *used, Diagnostics &diagnostics);

  const ast::File &model() const { return model_; }
  const std::list<ast::File> &used() const { return parsed_; } // in the order they first come up
  const ast::File *of(const ast::Use &use) const;              // none if it could not be read

private:
  void follow(const ast::File &file);
  const ast::File *load(const ast::Use &use, const std::string &name);

  const ast::File &model_;
  UsedFiles *used_;
  Diagnostics &diagnostics_;
  std::list<ast::File> parsed_;
  std::map<std::string, const ast::File *> by_name_; // null if it could not be read
  std::map<const ast::Use *, const ast::File *> of_;
  std::vector<const ast::File *> open_; // whose uses are being followed
};

} // namespace nnc

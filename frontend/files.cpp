// From the `use` lines of a model to its files. A path is relative to the file it stands in.
#include "frontend/files.h"

#include "frontend/parser.h"

#include <algorithm>
#include <cassert>
#include <filesystem>
#include <fmt/format.h>

namespace nnc {

namespace {

std::string normal(const std::filesystem::path &path) { return path.lexically_normal().generic_string(); }

std::string beside(const Source &source, const std::string &path) {
  return normal(std::filesystem::path(source.name()).parent_path() / path);
}

} // namespace

Files::Files(const ast::File &model, UsedFiles *used, Diagnostics &diagnostics)
    : model_(model), used_(used), diagnostics_(diagnostics) {
  by_name_[normal(model.source->name())] = &model;
  follow(model);
}

const ast::File *Files::of(const ast::Use &use) const {
  const auto found = of_.find(&use);
  return found == of_.end() ? nullptr : found->second;
}

void Files::follow(const ast::File &file) {
  open_.push_back(&file);
  for (const ast::Item &item : file.items)
    if (const auto *use = item.as<ast::Use>())
      of_[use] = load(*use, beside(*file.source, use->path));
  open_.pop_back();
}

const ast::File *Files::load(const ast::Use &use, const std::string &name) {
  const auto [known, is_new] = by_name_.try_emplace(name, nullptr);
  if (!is_new) {
    const auto begin = std::find(open_.begin(), open_.end(), known->second);
    if (begin == open_.end())
      return known->second;
    std::string circle;
    for (auto file = begin; file != open_.end(); ++file)
      circle += fmt::format("{} uses ", (*file)->source->name());
    diagnostics_.error(use.path_span, fmt::format("files that use each other in a circle: {}{}", circle, name));
    return nullptr;
  }
  assert(used_ && "a source that uses others needs a way to read them");
  std::string text;
  try {
    text = used_->read(name);
  } catch (const std::exception &error) {
    diagnostics_.error(use.path_span, error.what());
    return nullptr;
  }
  const Source &source = used_->sources.emplace_back(name, std::move(text));
  const ast::File &file = parsed_.emplace_back(parse(source, diagnostics_));
  known->second = &file; // references to a map's and a list's elements stay
  follow(file);
  return &file;
}

} // namespace nnc

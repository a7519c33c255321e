// The IR as text, both ways. Law: print(parse(print(m))) == print(m). The format is described in docs/ir.md.
#pragma once

#include "ir/function.h"

namespace nnc {

std::string print(const Module &module);
std::string print(const Module &module, const Function &function); // one function as it stands in there

// How `print` refers to each value, [node][result]: "%h", "%12", or the literal of a constant that is written where it is used.
std::vector<std::vector<std::string>> value_texts(const Function &function);
std::vector<std::vector<std::string>> value_texts(const Region &body);

std::string loc_text(const Loc &loc);         // "9:10'/2", "" where there is no place
std::string in_quotes(std::string_view text); // with " around it and escapes inside
bool is_value_name(std::string_view name);    // letters, digits, _ and ., not starting with a digit or .
bool is_identifier(std::string_view name);    // the same without dots

// Throws Error "file:line:col: error: …" on bad text; the module it returns has passed the verifier.
Module parse_module(std::string_view text, const std::string &file);

} // namespace nnc

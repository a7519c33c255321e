// The way from a Plan to something that runs. Compile it once; then make files of it, or load it into this process.
#pragma once

#include "codegen/kernel.h"
#include "codegen/object.h"
#include "ir/plan.h"

namespace nnc {

struct ArtefactOptions {
  std::string source_hash; // SHA-256 of the source, hexadecimal, for the metadata
  std::string flags = {};  // those that change what the entries do, for the metadata
  int threads = 1;         // that compile; the result does not depend on them
  bool debug_info = false; // DWARF for debuggers and profilers; the code stays the same
  std::string name = {};   // what C names begin with; empty: the stem of the source file
  // Hexadecimal, of all that the artefact is made from: a symbol of this name, which the header may ask for. Empty: none.
  std::string identity = {};
  // Writes the body of a kernel, where it is not emit_kernel that shall; for tests.
  std::function<void(const Kernel &, const std::string &, llvm::Module &, const Target &)> emit;
};

struct ObjectFile {
  std::string name; // "mnist.k3"
  std::string bytes;
  std::string label = name; // for profilers: "mnist.k8 dense'"
};

// Relocatable code that refers to nothing outside of itself. Not yet linked: kernels in order, then the entries.
struct Artefact {
  std::string model; // C identifier, the prefix of all names: "mnist"
  std::string info;  // symbol of the query function: "mnist_info"
  std::vector<ObjectFile> objects;
  bool debug_info = false;
};

// With several targets, all of one triple, the kernels are in it once for each, and calls run the last that the processor can
// (or the one that the host asks for). Throws Error where a target cannot be compiled for, and where code needs a function that
// an artefact does not have.
Artefact compile_plan(const Plan &plan, std::span<const Target> targets, const ArtefactOptions &options = {});
inline Artefact compile_plan(const Plan &plan, const Target &target, const ArtefactOptions &options = {}) {
  return compile_plan(plan, std::span(&target, 1), options);
}

// The same in a form to read: all units one after another, each below a comment with its name.
std::string code_text(const Plan &plan, std::span<const Target> targets, CodeForm form, const ArtefactOptions &options = {});

// The bytes of a shared library that needs nothing. It exports the entries, the query function, and this one again under the
// name that loaders look for, `nnc_model`.
std::string shared_library(const Artefact &artefact);

// One relocatable object, and a static library with just this member. Global are the entries and the query function alone,
// so several models fit in one program.
std::string relocatable_object(const Artefact &artefact);
std::string static_library(const Artefact &artefact);

} // namespace nnc

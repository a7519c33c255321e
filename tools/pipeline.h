// From a model's file to a module, a plan, and code: the compiler as one would call it, for the commands and the host header.
#pragma once

#include "codegen/compile.h"
#include "ir/plan.h"
#include "passes/passes.h"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace nnc {

using Assignments = std::map<std::string, std::string>; // NAME=FILE or NAME=NUMBER of a command line

struct BuildOptions {
  std::vector<std::pair<std::string, std::string>> set; // --set NAME=VALUE
  std::string cpu;                                      // as make_targets takes them
  std::string target;                                   // a triple; empty: this machine
  std::vector<std::string> split;                       // --split ENTRY: see passes/split.h
  std::string name;                                     // --name: what C names begin with; empty: the stem of the file
  std::string freeze;                                   // --freeze --weights FILE: a .safetensors whose tensors become constants
  std::vector<std::string> entries;                     // --entry NAME: only these, and init; empty: all
  PassOptions passes;
  std::function<void(Module &)> edit; // what a command adds to the program as written; may be null
  bool debug_info = false;            // -g
  bool perf = false;                  // --perf: code in this process is made known to perf
  std::string variant;                // --variant: of the kernels, by its cpu; empty: the best
  bool warn = true;                   // print the frontend's warnings on standard error
};

struct SourceModule {
  Module module;
  std::string hash;               // SHA-256 of the file, and of those it uses, hexadecimal
  std::vector<std::string> files; // those that it uses, and weights that were made constants
};

bool is_source_file(const std::string &file); // .nn or .nnir, which are compiled; anything else is loaded

// The program as written. Throws Error with everything that is wrong.
SourceModule read_source(const std::string &file, const BuildOptions &options);

// The tree of a .nn file as text.
std::string read_tree(const std::string &file);

// How far run_pipeline goes: derivatives derived and simplified, or kernels formed. --passes replaces either.
enum class PipelineEnd : uint8_t { grad, fused };
void run_pipeline(Module &module, PipelineEnd end, const PassOptions &options);

// The fused module with its kernels, and what was refused, below as comments: `nnc` reads it back.
std::string fused_text(const Module &module, const std::vector<std::string> &refusals);

// Of a module that went through the pipeline, as interpreters run it: compile_plan wants add_guards (passes/guard.h) before it
// where bounds are checked.
Plan plan_module(const Module &module, const PassOptions &options);

// For compile_plan: --cpu and --target, or `cpus` instead of --cpu.
std::vector<Target> code_targets(const BuildOptions &options, const std::string &cpus);
ArtefactOptions code_options(const SourceModule &source, const BuildOptions &options);

// All of it. `keep`: only these entries (and init) are compiled, if any are named; the state block stays the same.
struct Build {
  Plan plan;
  Artefact artefact;
  std::vector<std::string> files; // that the model uses, as in SourceModule
  double milliseconds = 0;        // from reading the file to objects
};
Build build_model(const std::string &file, const BuildOptions &options, const std::vector<std::string> &keep = {});

} // namespace nnc

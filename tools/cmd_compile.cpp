// `nnc MODEL.nn -o model.so`: compiles, or prints a stage of compiling. Files appear whole or not at all: everything is made
// in memory first and written last.
#include "codegen/hash.h"
#include "codegen/header.h"
#include "codegen/names.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/guard.h"
#include "runtime/file.h"
#include "tools/command_files.h"
#include "tools/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>

namespace nnc {

namespace {

const HelpPage page = {
    R"(  nnc MODEL.nn -o MODEL.so              a shared library and a C header beside it
  nnc MODEL.nn --emit=STAGE             how the compiler sees the model, on standard output
  nnc run MODEL ENTRY [options]         run one entry on tensors from files
  nnc train MODEL ENTRY [options]       train on data from files
  nnc bench MODEL ENTRY [options]       measure one entry
  nnc inspect MODEL.so                  what a compiled model offers
  nnc objdump MODEL ENTRY               the machine code of an entry below the lines it comes from
  nnc gradcheck MODEL [ENTRY]           hold every gradient against differences
  nnc summary MODEL [ENTRY]             layers, parameters, work and memory
  nnc plot MODEL ENTRY --range A:B      draw an entry, or how a training went
  nnc fmt FILE.nn…                      lay out the text of models
  nnc docs --std                        the pages about the library and the ops
  nnc COMMAND --help                    more about one of these
)",
    "nnc compiles neural networks, written in .nn, to libraries that predict and train and need nothing else.",
    R"(  nnc examples/mnist.nn -o mnist.so
  nnc examples/mnist.nn -o mnist.so --set batch=32 --cpu=x86-64-v3
  nnc examples/mnist.nn -o digits.so --freeze --weights mnist.safetensors    only what predicts, weights inside
  nnc examples/mnist.nn --emit=grad                  the program with its derivatives
  nnc examples/mnist.nn --emit=plan                  kernels, calls and bytes
  nnc train examples/mnist.nn train_step --data x=train-images.gz --data label=train-labels.gz --epochs 5
  nnc run examples/xor.nn predict --in x=x.npy
)"};

const std::vector<std::string> stages = {"ast", "ir", "grad", "fused", "plan", "llvm", "llvm-opt", "asm", "obj", "so"};

// What -o asks for by the ending of the file; the stage and whether a header goes with it.
struct Product {
  std::string stage;
  bool header = false;
};

Product product(const std::string &emit, const std::string &out) {
  if (!emit.empty()) {
    if (std::ranges::find(stages, emit) == stages.end())
      throw Error(fmt::format("--emit={}: there are {}", emit, fmt::join(stages, ", ")));
    return {emit};
  }
  if (out.empty())
    throw Error("say what to make: -o FILE.so (or .o, .a), or --emit=STAGE (see `nnc --help`)");
  for (const auto &[ending, stage] : {std::pair{".so", "so"}, {".o", "obj"}, {".a", "archive"}})
    if (out.ends_with(ending))
      return {stage, true};
  throw Error(fmt::format("{}: the name of an output ends in .so, .o or .a, or --emit says what it is", out));
}

// A rule for make and Ninja: `out` is to be made again when one of the files changes.
std::string dependency_rule(const std::string &out, const std::vector<std::string> &files) {
  const auto escaped = [](const std::string &name) {
    std::string text;
    if (name.find('\n') != name.npos)
      throw Error(fmt::format("--depfile: no rule can name a file with a line break: `{}`", name));
    for (char c : name) {
      if (c == ' ' || c == '#')
        text += '\\';
      text += c == '$' ? std::string("$$") : std::string(1, c);
    }
    return text;
  };
  std::string rule = escaped(out) + ":";
  for (const std::string &file : files)
    rule += " " + escaped(file);
  return rule + "\n";
}

// `files` becomes what was read.
std::string stage_text(const std::string &stage, const std::string &file, const BuildOptions &options, std::string *header,
                       std::vector<std::string> &files) {
  files = {file};
  if (stage == "ast")
    return read_tree(file);
  SourceModule source = read_source(file, options);
  files.insert(files.end(), source.files.begin(), source.files.end());
  if (stage == "ir") {
    if (!options.passes.passes.empty())
      run_pipeline(source.module, PipelineEnd::fused, options.passes);
    return print(source.module);
  }
  if (stage == "grad") {
    run_pipeline(source.module, PipelineEnd::grad, options.passes);
    return print(source.module);
  }
  std::vector<std::string> refusals;
  PassOptions passes = options.passes;
  passes.refusals = &refusals;
  run_pipeline(source.module, PipelineEnd::fused, passes);
  if (stage == "fused")
    return fused_text(source.module, refusals);
  Plan plan = plan_module(source.module, options.passes);
  if (stage == "plan")
    return plan_text(plan);
  const bool for_people = !header && stage != "so" && stage != "obj"; // who look at this machine's code
  const std::string cpus = options.cpu.empty() && !for_people ? portable_cpus(options.target) : options.cpu;
  const std::vector<Target> targets = code_targets(options, cpus);
  if (options.passes.checks.bounds)
    add_guards(plan);
  ArtefactOptions code = code_options(source, options);
  if (stage == "llvm")
    return code_text(plan, targets, CodeForm::llvm, code);
  if (stage == "llvm-opt")
    return code_text(plan, targets, CodeForm::llvm_opt, code);
  if (stage == "asm")
    return code_text(plan, targets, CodeForm::assembly, code);
  code.identity = sha256(fmt::format("{}\n{}\n{}\n{}", code.source_hash, code.flags, cpus, targets[0].triple)).substr(0, 12);
  if (header)
    *header = c_header(plan, {code.name, code.identity, stage != "so"});
  const Artefact artefact = compile_plan(plan, targets, code);
  return stage == "so" ? shared_library(artefact) : stage == "obj" ? relocatable_object(artefact) : static_library(artefact);
}

} // namespace

int compile_command(int argc, const char *const *argv) {
  Words words({"MODEL"});
  cl::opt<std::string> out("o", cl::desc("write here; .so, .o and .a get a C header, FILE.h, beside them"),
                           cl::value_desc("FILE"), cl::cat(general_options()));
  const std::string emit_help = fmt::format("print a stage: {}", fmt::join(stages, ", "));
  cl::opt<std::string> emit("emit", cl::desc(emit_help), cl::value_desc("STAGE"), cl::cat(general_options()));
  cl::opt<bool> version("version", cl::desc("print the version of nnc"), cl::cat(general_options()));
  cl::opt<std::string> triple("target", cl::desc("compile for another machine, such as aarch64-linux-gnu"),
                              cl::value_desc("TRIPLE"), cl::cat(compile_options()));
  cl::opt<std::string> name("name", cl::desc("what C names begin with, instead of the file's name without its ending"),
                            cl::value_desc("NAME"), cl::cat(general_options()));
  cl::opt<std::string> depfile("depfile",
                               cl::desc("write here which files the output was made from, as a rule for make and Ninja"),
                               cl::value_desc("FILE"), cl::cat(general_options()));
  cl::opt<bool> freeze("freeze", cl::desc("make constants of the parameters; entries that train are left out"),
                       cl::cat(compile_options()));
  cl::list<std::string> entries("entry", cl::desc("compile this entry and leave out those that are not named; init stays"),
                                cl::value_desc("NAME"), cl::cat(compile_options()));
  cl::opt<std::string> weights("weights", cl::desc("the .safetensors file with the values for --freeze"), cl::value_desc("FILE"),
                               cl::cat(compile_options()));
  BuildFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  if (version) {
    fmt::print("nnc {}\n", NNC_VERSION);
    return 0;
  }
  const std::string file = words.get()[0];
  BuildOptions options = flags.options();
  options.target = triple;
  if (freeze != !weights.empty())
    throw Error(freeze ? "--freeze needs --weights FILE: the values of the parameters"
                       : "--weights goes with --freeze: without it the host fills the state of what is made");
  options.freeze = weights;
  options.entries.assign(entries.begin(), entries.end());
  if (!name.empty() && !is_model_name(name))
    throw Error(
        fmt::format("--name={}: it takes letters, digits and `_`, a letter first, and not `nnc` before a `_`", name.getValue()));
  options.name = name;
  const Product what = product(emit, out);
  if (out.empty() && (what.stage == "obj" || what.stage == "so") && isatty(STDOUT_FILENO))
    throw Error(fmt::format("--emit={} makes bytes that no terminal shows: add -o FILE", what.stage));
  if (!is_source_file(file))
    throw Error(fmt::format("{}: the name of a model ends in .nn or .nnir", file));
  if (out.empty() && !depfile.empty())
    throw Error(fmt::format("--depfile={} says what a file was made from: add -o FILE", depfile.getValue()));
  const std::string header_file = what.header ? std::filesystem::path(out.getValue()).replace_extension(".h").string() : "";
  CommandFiles names;
  names.reads(file, "the model itself");
  if (!weights.empty())
    names.reads(weights, "a file that the model is made from");
  if (!out.empty())
    names.writes("", out, "the output itself");
  if (what.header)
    names.writes("", header_file, "the header of the output");
  if (!depfile.empty())
    names.writes("--depfile ", depfile, "the rule");
  std::string header;
  std::vector<std::string> files;
  const std::string text = stage_text(what.stage, file, options, what.header ? &header : nullptr, files);
  for (const std::string &used : std::span(files).subspan(1))
    names.reads(used, "a file that the model is made from");
  if (out.empty()) {
    fmt::print("{}", text);
    return 0;
  }
  const std::string rule = depfile.empty() ? "" : dependency_rule(out, files);
  OutputFile output(out);
  output.write(text.data(), text.size());
  std::optional<OutputFile> header_output;
  if (what.header) {
    header_output.emplace(header_file);
    header_output->write(header.data(), header.size());
  }
  if (!depfile.empty())
    write_file(depfile, rule);
  if (header_output)
    header_output->commit();
  output.commit();
  return 0;
}

} // namespace nnc

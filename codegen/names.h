// The names that C sees of an artefact, made from the names in the source: valid in C and C++, distinct, the same every time.
#pragma once

#include "ir/plan.h"

#include <string>
#include <vector>

namespace nnc {

struct EntryNames {
  std::string function;                     // "mnist_train_step"
  std::string macro;                        // "MNIST_TRAIN_STEP": what the macros of the entry begin with
  std::vector<std::string> inputs, outputs; // parameters
};

struct ArtefactNames {
  std::string model; // "mnist": as --name says, or the stem of the source file; every other name begins with it
  std::string macro; // "MNIST"
  std::string info;  // "mnist_info"
  std::string pick, touch, code_name;
  std::vector<EntryNames> entries; // as in the plan

  std::vector<std::string> variants; // processors, where the kernels are there for several

  // Symbols inside the artefact hold a dot, so no name of a model or entry can meet them: "mnist.k3", "mnist.k3.x86-64-v4".
  std::string internal(const std::string &what) const;
  std::string kernel(size_t index, size_t variant = 0) const;
  std::string task(size_t index, size_t variant = 0) const;
};

// `model`: what all names shall begin with, which is_model_name; empty: the stem of the source file. `cpus`: for which there is a
// variant each.
ArtefactNames artefact_names(const Plan &plan, const std::string &model = "", const std::vector<std::string> &cpus = {});

bool is_model_name(const std::string &name); // can every C name begin with it?

// The symbol that tells an artefact from others of its name: "mnist_is_0123456789ab".
std::string identity_symbol(const std::string &model, const std::string &identity);

std::string upper(std::string name);

// The path without its folders, so that an artefact does not depend on where it was compiled.
std::string file_name(const std::string &path);

} // namespace nnc

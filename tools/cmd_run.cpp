// `nnc run MODEL ENTRY`: calls one entry once, on tensors from files.
#include "ir/error.h"
#include "tools/command_files.h"
#include "tools/command_line.h"
#include "tools/engine.h"
#include "tools/host_tensor.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace nnc {

namespace {

constexpr int64_t most_printed = 1000; // elements of a result without --out

const HelpPage page = {
    "  nnc run MODEL ENTRY --in NAME=FILE … [--out NAME=FILE.npy …] [options]\n",
    "Runs one entry of a model (.nn, or a compiled .so) once. Inputs are .npy or IDX files, also IDX compressed with gzip, PNG,\n"
    "PGM or PPM pictures, scaled to the input's size, or a number for a scalar. Results without --out are printed. Parameters "
    "come from `init` or from --weights.",
    R"(  nnc run examples/xor.nn predict --in x=x.npy --weights xor.safetensors
  nnc run examples/xor.nn train_step --in x=x.npy --in y=y.npy --in lr=0.5 --weights-out xor.safetensors
  nnc run examples/mnist.nn predict --in x=digit.png --invert --weights mnist.safetensors
  nnc run mnist.so predict --in x=digit.npy --out y=probabilities.npy --weights mnist.safetensors
)"};

// Each name must be one of the entry's.
void check_names(const Assignments &given, const std::string &flag, const std::string &entry, InfoList<nnc_tensor_info> tensors) {
  for (const auto &[name, value] : given) {
    std::vector<std::string> known;
    for (const nnc_tensor_info &tensor : tensors)
      known.emplace_back(tensor.name);
    if (std::ranges::find(known, name) == known.end())
      throw Error(fmt::format("--{} {}={}: `{}` has no `{}`; it has {}", flag, name, value, entry, name,
                              known.empty() ? "none" : fmt::format("`{}`", fmt::join(known, "`, `"))));
  }
}

} // namespace

int run_command(int argc, const char *const *argv) {
  Words words({"MODEL", "ENTRY"});
  cl::list<std::string> in("in", cl::desc("value of an input: a file, or a number"), cl::value_desc("NAME=FILE"),
                           cl::cat(general_options()));
  cl::list<std::string> out("out", cl::desc("write a result to this .npy file"), cl::value_desc("NAME=FILE"),
                            cl::cat(general_options()));
  cl::opt<std::string> weights_out("weights-out", cl::desc("write the state afterwards to this .safetensors file"),
                                   cl::value_desc("FILE"), cl::cat(general_options()));
  cl::opt<bool> invert("invert", cl::desc("take the negative of pictures: dark ink on paper as the bright digits of MNIST"),
                       cl::cat(general_options()));
  RunFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  const unsigned threads = flags.threads();
  const int64_t seed = flags.seed();
  const Assignments given = assignments(in, "in"), wanted = assignments(out, "out");
  const std::unique_ptr<ThreadPool> pool = make_pool(threads);
  const std::unique_ptr<Engine> engine =
      open_engine(engine_kind(flags.engine, names[0]), names[0], flags.options(), pool.get(), {names[1]});
  const nnc_entry_info &entry = entry_of(*engine, names[1]);
  check_names(given, "in", entry.name, inputs(entry));
  check_names(wanted, "out", entry.name, outputs(entry));
  CommandFiles files;
  files.reads(names[0], "the model itself");
  for (const std::string &used : engine->files)
    files.reads(used, "a file that the model is made from");
  for (const auto &[name, value] : given)
    files.reads(value, fmt::format("what `{}` is read from", name));
  if (!flags.weights.empty() && !is_same_file(flags.weights, weights_out))
    files.reads(flags.weights, "the weights to start from");
  if (!weights_out.empty())
    files.writes("--weights-out ", weights_out, "where the state goes");
  for (const auto &[name, value] : wanted)
    files.writes(fmt::format("--out {}=", name), value, fmt::format("where `{}` goes", name));

  std::vector<HostTensor> values, results;
  for (const nnc_tensor_info &input : inputs(entry)) {
    const auto at = given.find(input.name);
    if (at == given.end())
      throw Error(fmt::format("`{}` needs `{}`, {}: add --in {}=FILE", entry.name, input.name, tensor_text(input), input.name));
    values.push_back(input_value(at->second, input, invert));
  }
  for (const nnc_tensor_info &output : outputs(entry))
    results.push_back({std::string(dtype_text(output.dtype)),
                       {output.shape, output.shape + output.rank},
                       std::vector<std::byte>(output.bytes)});
  const Metadata metadata = start_state(*engine, seed, flags.weights, flags.skip_mismatch);

  std::vector<const void *> input_pointers;
  for (const HostTensor &value : values)
    input_pointers.push_back(value.bytes.data());
  std::vector<void *> output_pointers;
  for (HostTensor &result : results)
    output_pointers.push_back(result.bytes.data());
  engine->call(entry, input_pointers, output_pointers);

  for (size_t i = 0; i < results.size(); ++i) {
    const std::string name = outputs(entry)[i].name;
    if (const auto at = wanted.find(name); at != wanted.end())
      write_npy(at->second, results[i]);
    else if (results[i].bytes.size() <= most_printed * dtype_bytes(results[i].dtype))
      fmt::print("{}", tensor_lines(name, results[i]));
    else
      fmt::print("{}: {}, too long to print: add --out {}=FILE.npy\n", name, tensor_type_text(results[i]), name);
  }
  if (!weights_out.empty())
    save_weights(*engine, weights_out, metadata);
  return 0;
}

} // namespace nnc

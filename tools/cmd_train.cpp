// `nnc train MODEL ENTRY`: epochs over the examples of files, with a progress line for people and a line an epoch for everyone.
#include "ir/error.h"
#include "tools/command_line.h"
#include "tools/epoch.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include <unistd.h>

namespace nnc {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const HelpPage page = {
    "  nnc train MODEL ENTRY --data NAME=FILE … [--epochs N] [--eval ENTRY --eval-data NAME=FILE …] [options]\n",
    "Trains a model (.nn, or a compiled .so): calls ENTRY with one batch after another of the examples in the files. The first\n"
    "dimension of a file counts examples, the first of the entry's input is the batch. Files are .npy or IDX, also IDX "
    "compressed\n"
    "with gzip. Each epoch shuffles by the seed. Scalar results are averaged over the epoch if they are floats, and added up if\n"
    "they are integers, which count.",
    R"(  nnc train examples/mnist.nn train_step --data x=train-images.gz --data label=train-labels.gz --epochs 5
      --eval evaluate --eval-data x=test-images.gz --eval-data label=test-labels.gz --weights-out mnist.safetensors
  nnc train examples/xor.nn train_step --data x=x.npy --data y=y.npy --in lr=0.5 --epochs 1000
)"};

Assignments assignments(const cl::list<std::string> &list, const std::string &flag) {
  Assignments result;
  for (const std::string &text : list) {
    const auto [name, value] = assignment(text, flag);
    if (!result.emplace(name, value).second)
      throw Error(fmt::format("--{} {}: `{}` is given twice", flag, text, name));
  }
  return result;
}

// Every name is an input of one of the entries.
void check_names(const Assignments &given, const std::string &flag, std::initializer_list<const nnc_entry_info *> entries) {
  for (const auto &[name, value] : given) {
    bool known = false;
    std::string list;
    for (const nnc_entry_info *entry : entries)
      for (const nnc_tensor_info &input : inputs(*entry)) {
        known = known || name == input.name;
        list += fmt::format("{}`{}`", list.empty() ? "" : ", ", input.name);
      }
    if (!known)
      throw Error(fmt::format("--{} {}={}: there is no input `{}`; there are {}", flag, name, value, name, list));
  }
}

// One line on a terminal that is written again and again; nothing anywhere else.
class Progress {
public:
  Progress(int64_t epochs, int64_t examples) : epochs_(epochs), examples_(examples) {}

  void begin_epoch(int64_t epoch) {
    epoch_ = epoch;
    start_ = Clock::now();
  }
  void show(const Totals &totals) {
    if (!on_ || seconds_since(shown_) < 0.1)
      return;
    shown_ = Clock::now();
    const double rate = static_cast<double>(totals.examples) / seconds_since(start_);
    const double left = static_cast<double>((epochs_ - epoch_ + 1) * examples_ - totals.examples) / rate;
    fmt::print(stderr, "\r\033[Kepoch {}/{} {:3.0f} %  {}  {:.0f} examples/s  {:.0f} s left", epoch_, epochs_,
               100.0 * static_cast<double>(totals.examples) / static_cast<double>(examples_), totals.text(), rate, left);
  }
  void clear() const {
    if (on_)
      fmt::print(stderr, "\r\033[K");
  }

private:
  const bool on_ = isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
  int64_t epochs_, examples_, epoch_ = 1;
  Clock::time_point start_ = Clock::now(), shown_{};
};

// Whole batches only, if there is no way to run the rest.
void prepare_rest(Feed &feed, EngineKind kind, const std::string &file, const BuildOptions &options, ThreadPool *pool,
                  const std::string &entry) {
  if (feed.rest() == 0 || feed.compile_rest(kind, file, options, pool))
    return;
  const int64_t examples = feed.data().examples();
  if (examples < feed.batch())
    throw Error(fmt::format("`{}` takes {} examples at a time, and there are {}", entry, feed.batch(), examples));
  fmt::print(stderr, "note: {} of {} examples do not fill a batch of {} and are left out of each epoch\n", feed.rest(), examples,
             feed.batch());
}

void print_table(const Engine &engine, const std::string &file, const nnc_entry_info &entry, unsigned threads, int64_t epochs,
                 int64_t examples, double seconds) {
  if (engine.compile_milliseconds > 0)
    fmt::print("compile      {:.3f} s\n", engine.compile_milliseconds / 1000);
  else
    fmt::print("library      {} bytes\n", std::filesystem::file_size(file));
  if (epochs > 0)
    fmt::print("epochs       {} of {:.3f} s, {:.0f} examples/s, {} thread{}\n", epochs, seconds / static_cast<double>(epochs),
               static_cast<double>(epochs * examples) / seconds, threads, threads == 1 ? "" : "s");
  fmt::print("state        {} bytes\n", engine.model().info().state_bytes);
  fmt::print("workspace    {} bytes\n", workspace_bytes(entry, threads));
}

} // namespace

int train_command(int argc, const char *const *argv) {
  Words words({"MODEL", "ENTRY"});
  cl::list<std::string> data_list("data", cl::desc("examples for an input"), cl::value_desc("NAME=FILE"),
                                  cl::cat(general_options()));
  cl::list<std::string> in_list("in", cl::desc("an input that is the same for all batches: a number, or a file"),
                                cl::value_desc("NAME=VALUE"), cl::cat(general_options()));
  cl::opt<std::string> epochs_text("epochs", cl::desc("times to go through the examples (1)"), cl::value_desc("N"), cl::init("1"),
                                   cl::cat(general_options()));
  cl::opt<std::string> eval("eval", cl::desc("entry to run on the other examples after each epoch"), cl::value_desc("ENTRY"),
                            cl::cat(general_options()));
  cl::list<std::string> eval_list("eval-data", cl::desc("examples for an input of that entry"), cl::value_desc("NAME=FILE"),
                                  cl::cat(general_options()));
  cl::opt<std::string> weights_out("weights-out", cl::desc("write the state at the end to this .safetensors file"),
                                   cl::value_desc("FILE"), cl::cat(general_options()));
  RunFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  const unsigned threads = flags.threads();
  const int64_t seed = flags.seed(), epochs = whole_number(epochs_text, "epochs", 0, INT64_MAX);
  const std::string &file = names[0], &entry_name = names[1];
  const Assignments data = assignments(data_list, "data"), fixed = assignments(in_list, "in"),
                    eval_data = assignments(eval_list, "eval-data");
  if (eval.empty() && !eval_data.empty())
    throw Error("--eval-data needs --eval ENTRY");

  const std::unique_ptr<ThreadPool> pool = make_pool(threads);
  const EngineKind kind = engine_kind(flags.engine, file);
  const BuildOptions options = flags.options();
  std::vector<std::string> keep{entry_name};
  if (!eval.empty())
    keep.push_back(eval);
  const std::unique_ptr<Engine> engine = open_engine(kind, file, options, pool.get(), keep);
  const nnc_entry_info &entry = entry_of(*engine, entry_name);
  const nnc_entry_info &eval_entry = eval.empty() ? entry : entry_of(*engine, eval);
  check_names(data, "data", {&entry});
  check_names(eval_data, "eval-data", {&eval_entry});
  check_names(fixed, "in", {&entry, &eval_entry});

  Feed train(*engine, entry_name, data, fixed);
  prepare_rest(train, kind, file, options, pool.get(), entry_name);
  std::optional<Feed> test;
  if (!eval.empty()) {
    test.emplace(*engine, eval, eval_data, fixed);
    if (test->rest() != 0)
      test->compile_rest(kind, file, options, pool.get());
  }
  start_state(*engine, seed, flags.weights);

  const int64_t examples = train.data().examples();
  Progress progress(epochs, examples);
  double seconds = 0;
  std::string last_test;
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    progress.begin_epoch(epoch);
    const auto start = Clock::now();
    Totals totals;
    double elapsed = 0;
    try {
      totals = train.run(shuffled_order(examples, static_cast<uint64_t>(seed), static_cast<uint64_t>(epoch)), Feed::Rest::drop,
                         [&](const Totals &so_far) { progress.show(so_far); });
      elapsed = seconds_since(start);
      seconds += elapsed;
      if (test)
        last_test = test->run(file_order(test->data().examples()), Feed::Rest::deduce).text();
    } catch (const CallError &error) {
      progress.clear();
      throw CallError(error.code, fmt::format("epoch {}, {}", epoch, error.what()));
    }
    progress.clear();
    fmt::print("epoch {}/{}  {}  {:.3f} s  {:.0f} examples/s{}{}\n", epoch, epochs, totals.text(), elapsed,
               static_cast<double>(totals.examples) / elapsed, test ? "  " + eval + ": " : "", last_test);
    std::fflush(stdout);
  }
  if (!weights_out.empty())
    save_weights(*engine, weights_out);
  print_table(*engine, file, entry, threads, epochs, examples, seconds);
  return 0;
}

} // namespace nnc

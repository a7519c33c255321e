// `nnc train MODEL ENTRY`: epochs over the examples of files, with a progress line for people and a line an epoch for everyone.
#include "ir/error.h"
#include "tools/command_files.h"
#include "tools/command_line.h"
#include "tools/epoch.h"
#include "tools/host_tensor.h"
#include "tools/stop_signals.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>

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
               static_cast<double>(examples) / seconds, threads, threads == 1 ? "" : "s");
  fmt::print("state        {} bytes\n", engine.model().info().state_bytes);
  fmt::print("workspace    {} bytes\n", workspace_bytes(entry, threads));
}

// Where a training is in its order of examples, as the metadata of its weights say it: so many whole epochs of this seed, and
// so many examples of the next.
struct Position {
  int64_t seed = 0, epochs = 0, examples = 0;
};

Metadata metadata_of(const Position &position) {
  return {{"seed", std::to_string(position.seed)},
          {"epochs", std::to_string(position.epochs)},
          {"examples", std::to_string(position.examples)}};
}

// None where the file is from elsewhere.
std::optional<Position> position_in(const Metadata &metadata) {
  const auto number = [&](const char *key) -> std::optional<int64_t> {
    const auto at = metadata.find(key);
    int64_t value = 0;
    if (at == metadata.end() ||
        std::from_chars(at->second.data(), at->second.data() + at->second.size(), value).ec != std::errc{})
      return std::nullopt;
    return value;
  };
  const std::optional<int64_t> seed = number("seed"), epochs = number("epochs"), examples = number("examples");
  if (!seed || !epochs || !examples || *epochs < 0 || *epochs > INT64_MAX / 2 || *examples < 0 || *epochs + *examples == 0)
    return std::nullopt;
  return Position{*seed, *epochs, *examples};
}

bool holds_nan(const nnc_tensor_info &info, const std::byte *data) {
  const int64_t count = info.bytes == 0 || !is_float_dtype(info.dtype)
                            ? 0
                            : static_cast<int64_t>(info.bytes / dtype_bytes(std::string(dtype_text(info.dtype))));
  for (int64_t i = 0; i < count; ++i)
    if (std::isnan(element(data, info.dtype, i)))
      return true;
  return false;
}

// A training goes on through a NaN among its results, but not through one among the parameters.
class Health {
public:
  Health(const Engine &engine, std::string advice) : engine_(engine), advice_(std::move(advice)) {}

  // After a batch. Throws Error where `totals` and the parameters hold NaN.
  void look(const Totals &totals, int64_t batch) {
    if (noted_)
      return;
    for (const Metric &metric : totals.metrics)
      if (std::isnan(metric.sum)) {
        look_at_parameters(fmt::format(", batch {}: `{}` is NaN, and", batch, metric.name));
        fmt::print(stderr, "note: batch {}: `{}` is NaN, but no parameter is\n", batch, metric.name);
        noted_ = true;
        return;
      }
  }
  // After an epoch.
  void look_at_parameters(const std::string &found = ": at its end") const {
    for (const nnc_tensor_info &info : engine_.model().states())
      if (info.trained && holds_nan(info, engine_.state() + info.offset))
        throw Error(fmt::format("{} the parameter `{}` holds NaN, which no training mends: {}", found, info.name, advice_));
  }

private:
  const Engine &engine_;
  std::string advice_;
  bool noted_ = false;
};

// What an entry that trains is there to change: the parameters, or whatever state there is where it has none.
size_t trained_hash(const Engine &engine) {
  const InfoList<nnc_tensor_info> states = engine.model().states();
  bool any = false;
  for (const nnc_tensor_info &info : states)
    any = any || info.trained;
  size_t hash = 0;
  for (const nnc_tensor_info &info : states)
    if (info.trained || !any)
      hash =
          hash * 31 + std::hash<std::string_view>{}({reinterpret_cast<const char *>(engine.state() + info.offset), info.bytes});
  return hash;
}

// Says which results no line of an epoch can show. Returns how many it can.
size_t note_tensors(const nnc_entry_info &entry) {
  size_t shown = 0;
  for (const nnc_tensor_info &output : outputs(entry))
    if (output.rank == 0)
      ++shown;
    else
      fmt::print(stderr, "note: `{}` of `{}`, {}, is no single number, so it is not shown\n", output.name, entry.name,
                 tensor_text(output));
  return shown;
}

// All are tried before anything is read or trained.
void check_files(const std::string &file, const Engine &engine, const RunFlags &flags, const std::string &weights_out,
                 std::initializer_list<const Assignments *> inputs) {
  CommandFiles files;
  files.reads(file, "the model itself");
  for (const std::string &used : engine.files)
    files.reads(used, "a file that the model is made from");
  for (const Assignments *list : inputs)
    for (const auto &[name, value] : *list)
      files.reads(value, fmt::format("what `{}` is read from", name));
  if (!flags.weights.empty() && !is_same_file(flags.weights, weights_out)) // weights may be trained on where they lie
    files.reads(flags.weights, "the weights to start from");
  if (!weights_out.empty())
    files.writes("--weights-out ", weights_out, "the weights at the end");
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
  cl::opt<bool> no_shuffle("no-shuffle", cl::desc("take the examples in the order of the files, as sequences need it"),
                           cl::cat(general_options()));
  RunFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  const unsigned threads = flags.threads();
  const int64_t epochs = whole_number(epochs_text, "epochs", 0, INT64_MAX / 2);
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
  check_input_names(data, "data", {&entry});
  check_input_names(eval_data, "eval-data", {&eval_entry});
  check_input_names(fixed, "in", {&entry, &eval_entry});
  if (!entry.writes_state)
    throw Error(fmt::format("`{}` changes nothing, so there is nothing to train: it needs an `update`", entry_name));
  note_tensors(entry);
  if (!eval.empty() && &eval_entry != &entry && note_tensors(eval_entry) == 0)
    throw Error(fmt::format("--eval {}: none of its results is a single number, so there is nothing to show", eval.getValue()));
  check_files(file, *engine, flags, weights_out, {&data, &eval_data, &fixed});

  Feed train(*engine, entry_name, data, fixed);
  prepare_rest(train, kind, file, options, pool.get(), entry_name);
  std::optional<Feed> test;
  if (!eval.empty()) {
    test.emplace(*engine, eval, eval_data, fixed);
    if (test->rest() != 0)
      test->compile_rest(kind, file, options, pool.get());
  }
  Position position{.seed = flags.seed()};
  const std::optional<Position> left_at = position_in(start_state(*engine, position.seed, flags.weights, flags.skip_mismatch));
  const int64_t examples = train.data().examples();
  if (left_at && (flags.seed_text.getNumOccurrences() == 0 || left_at->seed == position.seed)) {
    position = *left_at;
    if (position.examples >= examples || position.examples % train.batch() != 0) // of other data, or another batch
      position.examples = 0;
    fmt::print(stderr, "note: {}: {} epochs of seed {}{} are done, and this goes on from there\n", flags.weights.getValue(),
               position.epochs, position.seed, position.examples ? fmt::format(" and {} examples", position.examples) : "");
  }

  const int64_t last = position.epochs + epochs;
  const size_t before = trained_hash(*engine);
  Progress progress(last, examples);
  Health health(*engine, fmt::format("--check=nan{} says which op made it, and a smaller learning rate often helps{}",
                                     is_source_file(file) ? "" : ", when the model is compiled,",
                                     weights_out.empty() ? "" : fmt::format("; {} is not written", weights_out.getValue())));
  const StopSignals signals;
  double seconds = 0;
  int64_t done = 0; // examples
  while (position.epochs < last && !signals.caught()) {
    const int64_t epoch = position.epochs + 1;
    progress.begin_epoch(epoch);
    const auto start = Clock::now();
    Totals totals;
    double elapsed = 0;
    std::string evaluated;
    try {
      std::vector<int64_t> order =
          no_shuffle ? file_order(examples)
                     : shuffled_order(examples, static_cast<uint64_t>(position.seed), static_cast<uint64_t>(epoch));
      order.erase(order.begin(), order.begin() + position.examples);
      totals = train.run(order, Feed::Rest::drop, [&](const Totals &so_far) {
        health.look(so_far, (so_far.examples + train.batch() - 1) / train.batch());
        progress.show(so_far);
        return signals.caught() == 0;
      });
      health.look_at_parameters();
      elapsed = seconds_since(start);
      seconds += elapsed;
      done += totals.examples;
      if (totals.stopped) {
        position.examples += totals.examples;
        break;
      }
      position = {position.seed, epoch, 0};
      if (test) {
        const Totals seen = test->run(file_order(test->data().examples()), Feed::Rest::deduce,
                                      [&](const Totals &) { return signals.caught() == 0; });
        if (!seen.stopped)
          evaluated = fmt::format("  {}: {}", eval.getValue(), seen.text());
      }
    } catch (const CallError &error) {
      progress.clear();
      throw CallError(error.code, fmt::format("epoch {}, {}", epoch, error.what()));
    } catch (const Error &error) {
      progress.clear();
      throw Error(fmt::format("epoch {}{}", epoch, error.what()));
    }
    progress.clear();
    fmt::print("epoch {}/{}  {}  {:.3f} s  {:.0f} examples/s{}\n", epoch, last, totals.text(), elapsed,
               static_cast<double>(totals.examples) / elapsed, evaluated);
    std::fflush(stdout);
  }
  progress.clear();
  if (!weights_out.empty())
    save_weights(*engine, weights_out, metadata_of(position));
  if (done > 0 && trained_hash(*engine) == before)
    fmt::print(stderr, "note: no parameter has changed: is the learning rate 0, or does the loss depend on none of them?\n");
  if (const int signal = signals.caught(); signal && (position.epochs < last)) {
    fmt::print(stderr, "nnc: interrupted after {} epochs{}: {}\n", position.epochs,
               position.examples ? fmt::format(" and {} of {} examples", position.examples, examples) : "",
               weights_out.empty() ? "there is no --weights-out, so nothing is kept"
                                   : fmt::format("--weights {} goes on from here", weights_out.getValue()));
    return 128 + signal;
  }
  print_table(*engine, file, entry, threads, epochs, done, seconds);
  return 0;
}

} // namespace nnc

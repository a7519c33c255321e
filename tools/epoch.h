// Feeding an entry with the examples of a dataset, batch by batch, and what its results amount to over an epoch.
#pragma once

#include "runtime/dataset.h"
#include "tools/engine.h"

#include <functional>
#include <map>

namespace nnc {

// A scalar result over many examples: floats are averaged, each batch weighted by its examples; integers count, so they are
// added up.
struct Metric {
  std::string name;
  bool is_count = false;
  double sum = 0; // of value * examples, or of values
};

struct Totals {
  std::vector<Metric> metrics;
  int64_t examples = 0;
  bool stopped = false; // before the last batch

  // "loss 0.2134  correct 9812 of 10000 (98.12 %)"
  std::string text() const;
};

class Feed {
public:
  // Takes every input of `entry` that `data` names from its file, a batch a call, and the others from `fixed`. Throws Error
  // where an input is missing or does not fit, and where the batches of the inputs differ.
  Feed(Engine &engine, const std::string &entry, const Assignments &data, const Assignments &fixed);

  const Dataset &data() const { return data_; }
  int64_t batch() const { return batch_; }

  int64_t rest() const { return data_.examples() % batch_; } // examples that do not fill a batch

  // Compiles the model again for a batch of `rest()`: with another value of a const that has the size of the batch and on which
  // all data inputs depend. False where no const does that and leaves the state's shapes alone.
  bool compile_rest(EngineKind kind, const std::string &file, const BuildOptions &options, ThreadPool *pool);

  // What becomes of the examples of the last partial batch if compile_rest did not succeed.
  enum class Rest : uint8_t {
    drop,   // leave them out
    deduce, // find their share of the results from two padded batches: for entries that change nothing
  };
  // One pass over the examples in this order. A CallError says which batch it was. After each batch `goes_on` is told how many
  // examples are done, and says whether there shall be another.
  Totals run(const std::vector<int64_t> &order, Rest rest, const std::function<bool(const Totals &)> &goes_on = {});

private:
  Engine &engine_;
  const nnc_entry_info &entry_;
  std::vector<HostTensor> fixed_; // of each input; unused where it is a column
  std::vector<int> column_;       // of each input, or -1
  std::vector<std::vector<std::byte>> results_;
  Dataset data_;
  int64_t batch_ = 0;
  std::unique_ptr<Engine> rest_engine_; // of compile_rest

  bool runs_rest(const Engine &engine) const;
  // The value of every result's metric after one call.
  std::vector<double> call(Engine &engine, const nnc_entry_info &entry, const std::vector<const void *> &columns);
  std::vector<double> call_rest(const Batches &batches);
  std::vector<double> deduce_rest(std::span<const int64_t> examples);
  void run_batch(const Batches &batches, const std::vector<int64_t> &order, Rest rest, Totals &totals);
  void add(Totals &totals, const std::vector<double> &values, int64_t examples) const;
};

} // namespace nnc

// The loop that training and evaluation share, and the last partial batch. Batches have one size, known at compile time, so the
// examples that are left over need a second instance of the entry for their number, or, for an entry that only looks, two
// padded batches: with r examples left and one example p as padding,
//     B * f(rest, p, …, p) - (B - r) * f(p, …, p)   is what the rest adds to the sum of a mean f over the examples.
#include "tools/epoch.h"

#include "frontend/parser.h"
#include "ir/error.h"
#include "runtime/file.h"
#include "tools/host_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace nnc {

namespace {

Dataset read_data(const nnc_entry_info &entry, const Assignments &data) {
  std::vector<DataColumn> columns;
  for (const nnc_tensor_info &input : inputs(entry))
    if (const auto at = data.find(input.name); at != data.end())
      columns.push_back({input.name, at->second, read_fitted(at->second, input, true)});
  return Dataset(std::move(columns));
}

bool same_state(const Model &a, const Model &b) {
  if (a.states().size() != b.states().size() || a.info().state_bytes != b.info().state_bytes)
    return false;
  for (size_t i = 0; i < a.states().size(); ++i) {
    const nnc_tensor_info &x = a.states()[i], &y = b.states()[i];
    if (std::string_view(x.name) != y.name || tensor_text(x) != tensor_text(y) || x.offset != y.offset)
      return false;
  }
  return true;
}

// The consts of a .nn whose value is `batch`, as --set or the text gives it.
std::vector<std::string> consts_of_size(const std::string &file, const BuildOptions &options, int64_t batch) {
  std::vector<std::string> names;
  const Source source(file, read_file(file));
  Diagnostics diagnostics;
  const ast::File tree = parse(source, diagnostics);
  for (const ast::Item &item : tree.items) {
    const ast::Const *constant = item.as<ast::Const>();
    if (!constant)
      continue;
    const ast::Number *number = constant->value->as<ast::Number>();
    std::string value = number && number->integer ? std::to_string(*number->integer) : "";
    for (const auto &[name, set] : options.set)
      if (name == constant->name.text)
        value = set;
    if (value == std::to_string(batch))
      names.push_back(constant->name.text);
  }
  return names;
}

} // namespace

std::string Totals::text() const {
  std::string text;
  for (const Metric &metric : metrics) {
    text += text.empty() ? "" : "  ";
    if (metric.is_count)
      text += fmt::format("{} {:.0f} of {} ({:.2f} %)", metric.name, metric.sum, examples, 100 * metric.sum / examples);
    else
      text += fmt::format("{} {:.6g}", metric.name, metric.sum / examples);
  }
  return text;
}

Feed::Feed(Engine &engine, const std::string &entry, const Assignments &data, const Assignments &fixed)
    : engine_(engine), entry_(entry_of(engine, entry)), data_(read_data(entry_, data)) {
  for (const nnc_tensor_info &input : inputs(entry_)) {
    const auto column = std::ranges::find(data_.columns(), input.name, &DataColumn::name);
    column_.push_back(column == data_.columns().end() ? -1 : static_cast<int>(column - data_.columns().begin()));
    fixed_.emplace_back();
    if (column_.back() < 0) {
      const auto at = fixed.find(input.name);
      if (at == fixed.end())
        throw Error(fmt::format("`{}` needs `{}`, {}: add --data {}=FILE, or --in {}=VALUE if it is the same for all batches",
                                entry, input.name, tensor_text(input), input.name, input.name));
      fixed_.back() = input_value(at->second, input);
      continue;
    }
    if (batch_ != 0 && input.shape[0] != batch_)
      throw Error(fmt::format("`{}` takes {} of `{}` at a time, but {} of `{}`", entry, batch_, data_.columns()[0].name,
                              input.shape[0], input.name));
    batch_ = input.shape[0];
  }
  for (const nnc_tensor_info &output : outputs(entry_))
    results_.emplace_back(output.bytes);
  if (data_.columns().empty())
    throw Error(fmt::format("`{}` needs data: add --data NAME=FILE", entry));
}

std::vector<double> Feed::call(Engine &engine, const nnc_entry_info &entry, const std::vector<const void *> &columns) {
  std::vector<const void *> in;
  for (size_t i = 0; i < column_.size(); ++i)
    in.push_back(column_[i] < 0 ? static_cast<const void *>(fixed_[i].bytes.data()) : columns[column_[i]]);
  std::vector<void *> out;
  for (std::vector<std::byte> &result : results_)
    out.push_back(result.data());
  engine.call(entry, in, out);
  std::vector<double> values;
  for (size_t i = 0; i < results_.size(); ++i)
    if (outputs(entry)[i].rank == 0)
      values.push_back(element(results_[i].data(), outputs(entry)[i].dtype));
  return values;
}

// The other engine has a state block of its own: the state goes there and comes back.
std::vector<double> Feed::call_rest(const Batches &batches) {
  std::vector<const void *> columns;
  for (size_t c = 0; c < data_.columns().size(); ++c)
    columns.push_back(batches.column(c));
  const uint64_t bytes = engine_.model().info().state_bytes;
  std::memcpy(rest_engine_->state(), engine_.state(), bytes);
  const std::vector<double> values = call(*rest_engine_, entry_of(*rest_engine_, entry_.name), columns);
  std::memcpy(engine_.state(), rest_engine_->state(), bytes);
  return values;
}

// As if it had come from a call with just these examples.
std::vector<double> Feed::deduce_rest(std::span<const int64_t> examples) {
  std::vector<int64_t> padded(examples.begin(), examples.end()), padding(batch_, examples[0]);
  padded.resize(batch_, examples[0]);
  const auto value_of = [&](const std::vector<int64_t> &list) {
    std::vector<std::vector<std::byte>> buffers;
    std::vector<const void *> columns;
    for (size_t c = 0; c < data_.columns().size(); ++c) {
      data_.gather(c, list, buffers.emplace_back(batch_ * data_.example_bytes(c)).data());
      columns.push_back(buffers.back().data());
    }
    return call(engine_, entry_, columns);
  };
  std::vector<double> values = value_of(padded);
  const std::vector<double> pad = value_of(padding);
  const double batch = static_cast<double>(batch_), rest = static_cast<double>(examples.size());
  size_t next = 0;
  for (const nnc_tensor_info &output : outputs(entry_))
    if (output.rank == 0) {
      const bool is_count = !is_float_dtype(output.dtype);
      values[next] = is_count ? values[next] - pad[next] * (batch - rest) / batch
                              : (batch * values[next] - (batch - rest) * pad[next]) / rest;
      ++next;
    }
  return values;
}

void Feed::add(Totals &totals, const std::vector<double> &values, int64_t examples) const {
  for (size_t m = 0; m < values.size(); ++m)
    totals.metrics[m].sum += values[m] * (totals.metrics[m].is_count ? 1 : static_cast<double>(examples));
  totals.examples += examples;
}

void Feed::run_batch(const Batches &batches, const std::vector<int64_t> &order, Rest rest, Totals &totals) {
  if (!batches.partial()) {
    std::vector<const void *> columns;
    for (size_t c = 0; c < data_.columns().size(); ++c)
      columns.push_back(batches.column(c));
    add(totals, call(engine_, entry_, columns), batch_);
  } else if (rest_engine_) {
    add(totals, call_rest(batches), batches.count());
  } else if (rest == Rest::deduce) {
    const std::span<const int64_t> examples(order.data() + order.size() - batches.count(), batches.count());
    add(totals, deduce_rest(examples), batches.count());
  }
}

Totals Feed::run(const std::vector<int64_t> &order, Rest rest, const std::function<bool(const Totals &)> &goes_on) {
  Totals totals;
  for (const nnc_tensor_info &output : outputs(entry_))
    if (output.rank == 0)
      totals.metrics.push_back({output.name, !is_float_dtype(output.dtype)});
  Batches batches(data_, order, batch_);
  for (int64_t batch = 1; batches.next(); ++batch) {
    try {
      run_batch(batches, order, rest, totals);
    } catch (const CallError &error) {
      throw CallError(error.code, fmt::format("batch {}: {}", batch, error.what()));
    }
    const int64_t left = static_cast<int64_t>(order.size()) - batch * batch_;
    const bool more = left >= batch_ || (left > 0 && (rest_engine_ || rest == Rest::deduce));
    if (goes_on && !goes_on(totals) && more) {
      totals.stopped = true;
      break;
    }
  }
  return totals;
}

// The same entry, but for the first dimension of its data inputs, and the same state.
bool Feed::runs_rest(const Engine &engine) const {
  const nnc_entry_info &entry = entry_of(engine, entry_.name);
  for (size_t i = 0; i < column_.size(); ++i) {
    const nnc_tensor_info &input = inputs(entry)[i], &usual = inputs(entry_)[i];
    const uint64_t bytes = column_[i] < 0 ? usual.bytes : usual.bytes / batch_ * rest();
    if (input.bytes != bytes || input.rank != usual.rank || (column_[i] >= 0 && input.shape[0] != rest()))
      return false;
  }
  for (size_t i = 0; i < results_.size(); ++i)
    if (outputs(entry)[i].bytes > results_[i].size())
      return false;
  return same_state(engine.model(), engine_.model());
}

bool Feed::compile_rest(EngineKind kind, const std::string &file, const BuildOptions &options, ThreadPool *pool) {
  if (!file.ends_with(".nn"))
    return false;
  for (const std::string &name : consts_of_size(file, options, batch_)) {
    BuildOptions changed = options;
    changed.warn = false; // said already
    std::erase_if(changed.set, [&](const auto &set) { return set.first == name; });
    changed.set.emplace_back(name, std::to_string(rest()));
    try {
      std::unique_ptr<Engine> engine = open_engine(kind, file, changed, pool, {entry_.name});
      if (runs_rest(*engine)) {
        rest_engine_ = std::move(engine);
        return true;
      }
    } catch (const Error &) { // the size is no other's business: something else depends on this const
    }
  }
  return false;
}

} // namespace nnc

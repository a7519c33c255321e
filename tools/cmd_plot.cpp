// `nnc plot`: an entry as curves over its input, with derivatives if asked for; or how the numbers that `nnc train` printed went
// from epoch to epoch. gnuplot draws.
#include "ir/builder.h"
#include "ir/error.h"
#include "runtime/file.h"
#include "tools/command_files.h"
#include "tools/command_line.h"
#include "tools/engine.h"
#include "tools/gnuplot.h"
#include "tools/host_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

namespace nnc {

namespace {

const HelpPage page = {"  nnc plot MODEL ENTRY --range A:B -o FILE [--derivatives] [options]\n"
                       "  nnc plot --loss LOG -o FILE\n",
                       "Draws the results of an entry with one float input over that input. A scalar is given --points values, a "
                       "tensor its number of\n"
                       "elements, evenly spaced from A to B; every float result of the input's size is a curve. With --loss, "
                       "draws what `nnc train`\n"
                       "printed, over the epochs. FILE ends in .svg, .png or .pdf. gnuplot must be installed.",
                       R"(  nnc plot model.nn curve --range -5:5 -o curve.svg
  nnc plot model.nn f --range 0:1 --points 1000 --derivatives -o f.png
  nnc train model.nn train_step … > log.txt; nnc plot --loss log.txt -o loss.pdf
)"};

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

struct Range {
  double low, high;
};

Range range(const std::string &text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::optional<double> low = number(std::string_view(text).substr(0, colon)),
                              high = number(std::string_view(text).substr(std::min(colon + 1, text.size())));
  if (!low || !high || !std::isfinite(*low) || !std::isfinite(*high) || *low >= *high)
    throw Error(fmt::format("--range={}: it takes A:B, two numbers, the smaller first", text));
  return {*low, *high};
}

bool is_float(const nnc_tensor_info &tensor) { return is_float_dtype(tensor.dtype); }

int64_t elements(const nnc_tensor_info &tensor) {
  return std::accumulate(tensor.shape, tensor.shape + tensor.rank, int64_t{1}, std::multiplies<>());
}

// Adds y' and y'' of the entry's one result y to the program: d sum(y) / d x, and of that again. Where elements of y depend on
// their own element of x only, these are the derivatives of each.
void add_derivatives(Module &module, const std::string &name) {
  const auto found = std::ranges::find(module.functions, name, &Function::name);
  if (found == module.functions.end())
    return; // to be said by entry_of
  Function &function = *found;
  std::vector<Result> outputs;
  std::ranges::copy_if(function.function_results, std::back_inserter(outputs),
                       [](const Result &result) { return result.kind == Result::Kind::output; });
  const bool has_one_input = std::ranges::count(function.arg_info, -1, &Arg::state) == 1;
  if (outputs.size() != 1 || !has_one_input || !is_float(function.type(outputs[0].value).dtype) ||
      !is_float(function.nodes[0].type().dtype))
    throw Error(
        fmt::format("--derivatives: `{}` must have one float input and one float result, and has {} input{} and {} result{}",
                    name, std::ranges::count(function.arg_info, -1, &Arg::state), has_one_input ? "" : "s", outputs.size(),
                    outputs.size() == 1 ? "" : "s"));
  Builder build(function);
  build.loc = outputs[0].loc;
  Value y = outputs[0].value;
  for (const char *order : {"first", "second"}) {
    Shape axes(build.shape(y).size());
    std::iota(axes.begin(), axes.end(), 0);
    y = build.grad(build.sum(y, axes), {Value{0, 0}})[0];
    function.function_results.push_back({Result::Kind::output, fmt::format("{}_derivative", order), y, -1, outputs[0].loc});
  }
}

class Plotter {
public:
  Plotter(Engine &engine, const nnc_entry_info &entry) : engine_(engine), entry_(entry), x_(inputs(entry)[0]) {
    for (const nnc_tensor_info &output : outputs(entry)) {
      results_.emplace_back(output.bytes);
      if (is_float(output) && elements(output) == elements(x_))
        curves_.push_back({output.name, {}});
    }
    if (curves_.empty())
      throw Error(fmt::format("`{}` has no float result of the size of `{}`, {}", entry.name, x_.name, tensor_text(x_)));
  }

  std::vector<Curve> over(Range range, int64_t points) {
    const int64_t size = elements(x_);
    for (int64_t done = 0; done < points; done += size) {
      HostTensor xs{"f64", {size}, std::vector<std::byte>(size * sizeof(double))};
      for (int64_t i = 0; i < size; ++i) {
        const double share = points == 1 ? 0 : static_cast<double>(done + i) / static_cast<double>(points - 1);
        const double x = range.low + (range.high - range.low) * share;
        std::memcpy(xs.bytes.data() + i * sizeof x, &x, sizeof x);
      }
      const HostTensor in = fitted(std::move(xs), "--range", x_);
      call(in.bytes);
      collect(in.bytes);
    }
    return curves_;
  }

private:
  Engine &engine_;
  const nnc_entry_info &entry_;
  const nnc_tensor_info &x_;
  std::vector<std::vector<std::byte>> results_;
  std::vector<Curve> curves_;

  void call(const std::vector<std::byte> &x) {
    const void *in = x.data();
    std::vector<void *> out;
    for (std::vector<std::byte> &result : results_)
      out.push_back(result.data());
    engine_.call(entry_, {&in, 1}, out);
  }

  void collect(const std::vector<std::byte> &xs) {
    auto curve = curves_.begin();
    for (size_t k = 0; k < results_.size(); ++k) {
      const nnc_tensor_info &output = outputs(entry_)[k];
      if (!is_float(output) || elements(output) != elements(x_))
        continue;
      for (int64_t i = 0; i < elements(x_); ++i)
        curve->points.emplace_back(element(xs.data(), x_.dtype, i), element(results_[k].data(), output.dtype, i));
      ++curve;
    }
  }
};

// Of a line "epoch 2/5  loss 0.31  accuracy 0.9  0.170 s  58617 examples/s  evaluate: correct 1660 of 2000 (83.00 %)": the
// numbers with a name before them; those of the entry behind --eval with its name before theirs.
void read_epoch(std::string_view line, double epoch, std::vector<std::vector<Curve>> &panels) {
  std::string prefix;
  while (!line.empty()) {
    const size_t end = std::min(line.find("  "), line.size());
    std::string_view field = line.substr(0, end);
    line.remove_prefix(std::min(end + 2, line.size()));
    if (const size_t colon = field.find(": "); colon != std::string_view::npos) {
      prefix = std::string(field.substr(0, colon)) + " ";
      field.remove_prefix(colon + 2);
    }
    const size_t space = std::min(field.find(' '), field.size());
    const std::string_view name = field.substr(0, space), rest = field.substr(std::min(space + 1, field.size()));
    const std::optional<double> value = number(rest.substr(0, rest.find(' ')));
    if (!value || name.empty() || number(name))
      continue;
    const std::string title = prefix + std::string(name);
    auto panel = std::ranges::find(panels, title, [](const std::vector<Curve> &curves) { return curves[0].name; });
    if (panel == panels.end())
      panel = panels.insert(panels.end(), {Curve{title, {}}});
    (*panel)[0].points.emplace_back(epoch, *value);
  }
}

Chart loss_chart(const std::string &file) {
  Chart chart{"epoch", {}, true};
  const std::string text = read_file(file);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line(text.data() + begin, end - begin);
    begin = end + 1;
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    const size_t slash = line.find('/');
    if (!line.starts_with("epoch ") || slash == std::string_view::npos)
      continue;
    const size_t fields = line.find("  ");
    if (const std::optional<double> epoch = number(line.substr(6, slash - 6)); epoch && fields != std::string_view::npos)
      read_epoch(line.substr(fields + 2), *epoch, chart.panels);
  }
  if (chart.panels.empty())
    throw Error(fmt::format("{}: there is no line `epoch 1/5  loss 0.59 …` as `nnc train` prints it", file));
  return chart;
}

} // namespace

int plot_command(int argc, const char *const *argv) {
  Words words({"[MODEL]", "[ENTRY]"});
  cl::opt<std::string> out("o", cl::desc("write the picture here"), cl::value_desc("FILE"), cl::cat(general_options()));
  cl::opt<std::string> range_text("range", cl::desc("from where to where the input goes"), cl::value_desc("A:B"),
                                  cl::cat(general_options()));
  cl::opt<std::string> points_text("points", cl::desc("values of a scalar input (400)"), cl::value_desc("N"),
                                   cl::cat(general_options()));
  cl::opt<bool> derivatives("derivatives", cl::desc("draw the first and the second derivative of the one result, too"),
                            cl::cat(general_options()));
  cl::opt<std::string> loss("loss", cl::desc("draw the numbers in what `nnc train` printed"), cl::value_desc("LOG"),
                            cl::cat(general_options()));
  cl::opt<std::string> weights("weights", cl::desc("parameters from this .safetensors file"), cl::value_desc("FILE"),
                               cl::cat(general_options()));
  cl::opt<std::string> seed_text("seed", cl::desc("seed of `init` (0)"), cl::value_desc("N"), cl::init("0"),
                                 cl::cat(general_options()));
  BuildFlags flags;
  if (!parse_command_line(argc, argv, page))
    return 0;
  const std::vector<std::string> names = words.get();
  if (out.empty())
    throw Error("say where the picture goes: -o FILE.svg (see `nnc plot --help`)");
  check_picture_name(out);
  CommandFiles files;
  for (const std::string &read : {loss.getValue(), weights.getValue(), names.empty() ? "" : names[0]})
    if (!read.empty())
      files.reads(read, "a file that is read");
  files.writes("-o ", out, "the picture");
  if (!loss.empty()) {
    if (!names.empty() || !range_text.empty() || !points_text.empty() || derivatives)
      throw Error("--loss takes no model, and none of --range, --points and --derivatives");
    draw(loss_chart(loss), out);
    return 0;
  }
  if (names.size() < 2)
    throw Error(fmt::format("{} is missing (see `nnc plot --help`)", names.empty() ? "MODEL" : "ENTRY"));
  const std::string &file = names[0], &name = names[1];
  if (range_text.empty())
    throw Error("say from where to where: --range A:B (see `nnc plot --help`)");
  const Range drawn = range(range_text);
  const int64_t given_points = points_text.empty() ? 400 : whole_number(points_text, "points", 2, 1'000'000);
  BuildOptions options = flags.options();
  if (derivatives) {
    if (!is_source_file(file))
      throw Error(fmt::format("{}: --derivatives needs the .nn", file));
    options.edit = [&](Module &module) { add_derivatives(module, name); };
  }

  const std::unique_ptr<Engine> engine = open_engine(engine_kind("", file), file, options, nullptr, {name});
  const nnc_entry_info &entry = entry_of(*engine, name);
  if (entry.input_count != 1 || !is_float(inputs(entry)[0]))
    throw Error(fmt::format("`{}` must have one input, a float, to be drawn over it", name));
  if (entry.writes_state)
    throw Error(fmt::format("`{}` changes state: what is drawn must depend on its input alone", name));
  start_state(*engine, whole_number(seed_text, "seed", INT64_MIN, INT64_MAX), weights);

  const nnc_tensor_info &x = inputs(entry)[0];
  if (elements(x) > 1 && !points_text.empty())
    throw Error(fmt::format("--points={}: `{}` is {}, which says how many", points_text.getValue(), x.name, tensor_text(x)));
  draw({x.name, {Plotter(*engine, entry).over(drawn, elements(x) > 1 ? elements(x) : given_points)}}, out);
  return 0;
}

} // namespace nnc

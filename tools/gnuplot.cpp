// gnuplot as a child process: a script with the data inside goes into a temporary folder, the picture comes out of it, and is
// then written where it belongs. Nothing of the caller's goes through a shell or is read as a command: names are quoted, and
// drawn as they are.
#include "tools/gnuplot.h"

#include "ir/error.h"
#include "runtime/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace nnc {

namespace {

constexpr int width = 900, panel_height = 560, low_panel_height = 300; // pixels; low where there are several

class TemporaryFolder {
public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "nnc-XXXXXX").string()) {
    if (!mkdtemp(path_.data()))
      throw Error(fmt::format("{}: cannot be made: {}", path_, std::strerror(errno)));
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;

  std::string file(const std::string &name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

// In single quotes nothing is special but the quote.
std::string in_quotes(const std::string &text) {
  std::string result = "'";
  for (char c : text)
    result += c == '\'' ? "''" : std::string(1, c);
  return result + "'";
}

std::string terminal(const std::string &file, int height) {
  if (file.ends_with(".svg"))
    return fmt::format("svg noenhanced size {},{} background rgb 'white'", width, height);
  if (file.ends_with(".png"))
    return fmt::format("pngcairo noenhanced size {},{}", width, height);
  return fmt::format("pdfcairo noenhanced size {:.2f}in,{:.2f}in", width / 96.0, height / 96.0);
}

std::string script(const Chart &chart, const std::string &file, const std::string &out) {
  const int count = static_cast<int>(chart.panels.size()), height = count == 1 ? panel_height : count * low_panel_height;
  std::string data, plots;
  int curves = 0;
  double first = std::numeric_limits<double>::infinity(), last = -first;
  for (const std::vector<Curve> &panel : chart.panels) {
    std::string plot;
    for (const Curve &curve : panel) {
      const std::string block = fmt::format("$c{}", curves++);
      data += block + " << END\n";
      for (const auto &[x, y] : curve.points) {
        first = std::min(first, x);
        last = std::max(last, x);
        data += std::isfinite(y) ? fmt::format("{} {}\n", x, y) : fmt::format("{} NaN\n", x);
      }
      data += "END\n";
      plot += fmt::format("{} {} using 1:2 with {} linewidth 2 title {}", plot.empty() ? "plot" : ",", block,
                          chart.marks ? "linespoints pointtype 7 pointsize 0.5" : "lines", in_quotes(curve.name));
    }
    plots += plot + "\n";
  }
  if (first == last) { // one point
    first -= 0.5;
    last += 0.5;
  }
  const std::string setting =
      fmt::format("set terminal {}\nset output {}\nset grid\nset key noenhanced above\nset xrange [{}:{}]\nset xlabel {}\n",
                  terminal(file, height), in_quotes(out), first, last, in_quotes(chart.x_label));
  if (count == 1)
    return data + setting + plots + "unset output\n";
  return data + setting + fmt::format("set multiplot layout {},1\n", count) + plots + "unset multiplot\nunset output\n";
}

// Runs gnuplot on the script; what it says goes to `said`.
void run_gnuplot(const std::string &script, const std::string &said) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, said.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  std::string program = "gnuplot", argument = script;
  char *arguments[] = {program.data(), argument.data(), nullptr};
  pid_t child = 0;
  const int failure = posix_spawnp(&child, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure == ENOENT)
    throw Error("gnuplot is not installed: apt-get install gnuplot-nox");
  if (failure != 0)
    throw Error(fmt::format("gnuplot: cannot be run: {}", std::strerror(failure)));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
    return;
  std::string words = read_file(said);
  std::ranges::replace(words, '\n', ' ');
  throw Error(fmt::format("gnuplot failed: {}", words.substr(0, 500)));
}

bool shows_something(const std::vector<Curve> &panel) {
  return std::ranges::any_of(panel, [](const Curve &curve) {
    return std::ranges::any_of(curve.points, [](const auto &point) { return std::isfinite(point.second); });
  });
}

} // namespace

void check_picture_name(const std::string &file) {
  if (!file.ends_with(".svg") && !file.ends_with(".png") && !file.ends_with(".pdf"))
    throw Error(fmt::format("{}: the name of a picture ends in .svg, .png or .pdf", file));
}

void draw(const Chart &chart, const std::string &file) {
  check_picture_name(file);
  for (const std::vector<Curve> &panel : chart.panels)
    if (!shows_something(panel))
      throw Error(fmt::format("{}: `{}` has no finite value to draw", file, panel.at(0).name));
  const TemporaryFolder folder;
  const std::string picture = folder.file("picture");
  write_file(folder.file("script"), script(chart, file, picture));
  run_gnuplot(folder.file("script"), folder.file("said"));
  write_file(file, read_file(picture));
}

} // namespace nnc

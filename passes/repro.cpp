// Repro: the file, and the signal handlers that write it when a pass crashes. In a handler only open, write and close are
// safe, so path and text are made ready before every pass. One Repro is on at a time: signals belong to the process.
#include "passes/repro.h"

#include "ir/error.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

namespace nnc {

namespace {

constexpr std::array crash_signals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
std::array<struct sigaction, crash_signals.size()> previous;
alignas(16) char signal_stack[64 * 1024]; // a stack overflow leaves none to run on
std::string repro_path, repro_text;

bool write_file() {
  const int file = open(repro_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (file < 0)
    return false;
  size_t done = 0;
  while (done < repro_text.size()) {
    const ssize_t n = ::write(file, repro_text.data() + done, repro_text.size() - done);
    if (n <= 0)
      break;
    done += n;
  }
  return close(file) == 0 && done == repro_text.size();
}

void restore_handlers() {
  for (size_t i = 0; i < crash_signals.size(); ++i)
    sigaction(crash_signals[i], &previous[i], nullptr);
}

void on_crash(int signal) {
  write_file();
  restore_handlers();
  raise(signal);
}

} // namespace

Repro::Repro(std::string dir) : dir_(std::move(dir)) {
  if (!on())
    return;
  std::error_code error;
  std::filesystem::create_directories(dir_, error);
  if (error)
    throw Error(fmt::format("{}: cannot make this directory: {}", dir_, error.message()));
  stack_t stack{};
  stack.ss_sp = signal_stack;
  stack.ss_size = sizeof(signal_stack);
  sigaltstack(&stack, nullptr);
  struct sigaction action{};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK;
  for (size_t i = 0; i < crash_signals.size(); ++i)
    sigaction(crash_signals[i], &action, &previous[i]);
}

Repro::~Repro() {
  if (on())
    restore_handlers();
}

void Repro::arm(const std::string &pass, const std::string &module_text) {
  if (!on())
    return;
  repro_path = fmt::format("{}/{}.nnir", dir_, pass);
  repro_text = fmt::format("# nnc --emit=ir --passes={} --verify-each {}\n{}", pass, repro_path, module_text);
}

std::string Repro::write() const {
  if (!on() || !write_file())
    return "";
  return fmt::format(" (the module before it is in {})", repro_path);
}

} // namespace nnc

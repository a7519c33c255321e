// The parent waits, looks at the memory of its child every few milliseconds, and starts another where one ended early; which case
// a child is at stands in memory that both share. A child measures its own time.
#include "tests/fuzz/limits.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <execinfo.h>
#include <fmt/format.h>
#include <new>
#include <stdexcept>

#include <csignal>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace nnc {

namespace {

constexpr uint64_t batch = 1000; // cases of a child
constexpr int hung = 71, wrong = 72, large = 73;
constexpr useconds_t look_every = 5000; // microseconds

struct Progress {
  std::atomic<uint64_t> at = 0; // the case that is running
  char what[4096] = {};
};

void hang(int) {
  void *frames[40];
  backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
  _exit(hung);
}

int64_t megabytes_of(pid_t child) {
  char name[64];
  std::snprintf(name, sizeof name, "/proc/%d/statm", child);
  std::FILE *file = std::fopen(name, "r");
  long pages = 0, resident = 0;
  if (file) {
    if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2)
      resident = 0;
    std::fclose(file);
  }
  return resident * sysconf(_SC_PAGESIZE) >> 20;
}

int64_t own_peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss >> 10;
}

[[noreturn]] void run_batch(uint64_t first, uint64_t end, const Limits &limits, const CaseFunction &run, Progress &progress) {
  std::signal(SIGPROF, hang);
  for (uint64_t i = first; i < end; ++i) {
    progress.at = i;
    const itimerval timer{{0, 0}, {limits.seconds, 0}};
    setitimer(ITIMER_PROF, &timer, nullptr);
    std::string what;
    try {
      what = run(i);
    } catch (const std::bad_alloc &) {
      what = "out of memory";
    } catch (const std::exception &error) {
      what = std::string("threw: ") + error.what();
    }
    if (!what.empty()) {
      std::strncpy(progress.what, what.c_str(), sizeof progress.what - 1);
      _exit(wrong);
    }
    if (own_peak_megabytes() > limits.megabytes)
      _exit(large);
  }
  _exit(0);
}

std::string contents(std::FILE *file) {
  std::string text(4000, '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  return text;
}

} // namespace

void run_cases(uint64_t first, uint64_t count, const Limits &limits, const CaseFunction &run, const ReportFunction &report) {
  void *shared = mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED)
    throw std::runtime_error("no memory to share with children");
  Progress &progress = *new (shared) Progress;
  for (uint64_t next = first; next < first + count;) {
    const uint64_t end = std::min(first + count, next + batch);
    std::FILE *said = std::tmpfile(); // what the child writes on standard error
    std::memset(progress.what, 0, sizeof progress.what);
    progress.at = next;
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0)
      throw std::runtime_error("cannot fork");
    if (child == 0) {
      dup2(fileno(said), STDERR_FILENO);
      run_batch(next, end, limits, run, progress);
    }
    int status = 0;
    bool too_large = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
      if (megabytes_of(child) > limits.megabytes) {
        too_large = true;
        kill(child, SIGKILL);
      }
      usleep(look_every);
    }
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::string what;
    if (too_large || code == large)
      what = fmt::format("more than {} MB", limits.megabytes);
    else if (code == wrong)
      what = progress.what;
    else if (code == hung)
      what = fmt::format("more than {} s\n{}", limits.seconds, contents(said));
    else if (code != 0)
      what = fmt::format("{} {}\n{}", code < 0 ? "signal" : "exit", code < 0 ? WTERMSIG(status) : code, contents(said));
    std::fclose(said);
    next = what.empty() ? end : progress.at + 1;
    if (!what.empty() && !report(progress.at, what))
      break;
  }
  munmap(shared, sizeof(Progress));
}

} // namespace nnc

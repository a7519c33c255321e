// A fork-join pool made for jobs of a few microseconds, one after the other: an idle worker watches the job counter for
// `spin_time` before it sleeps, and the caller does the same for the end of the job. Both sleep in the kernel through
// std::atomic::wait, so a pool that is not used costs nothing. Shares are claimed, not dealt: a worker that the system
// has put aside delays a job only if it holds a share of it.

#include "runtime/thread_pool.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <pthread.h>

namespace nnc {
namespace {

// The forks between the first process and this one. Asking for the process's number instead would be a system call a job.
unsigned forks = 0;

unsigned count_forks() {
  [[maybe_unused]] static const int registered = pthread_atfork(nullptr, nullptr, [] { ++forks; });
  return forks;
}

// Waking a sleeping thread takes 8 µs in a virtual machine, and the steps of a model that run on one thread often take less
// than this.
constexpr std::chrono::microseconds spin_time(50);

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  asm volatile("yield");
#endif
}

// Waits until `value` is no longer `old`.
void wait_while(const std::atomic<uint32_t> &value, uint32_t old) {
  auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      if (value.load(std::memory_order_acquire) != old)
        return;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < spin_time);
  value.wait(old, std::memory_order_acquire);
}

} // namespace

ThreadPool::ThreadPool(int threads) : forks_(count_forks()) {
  try {
    for (int i = 1; i < threads; ++i)
      workers_.emplace_back([this, i] { work(static_cast<unsigned>(i)); });
  } catch (...) {
    end();
    throw;
  }
}

ThreadPool::~ThreadPool() { end(); }

void ThreadPool::end() {
  if (forks_ != forks) {
    new std::vector<std::thread>(std::move(workers_)); // threads that are not here can be neither joined nor destroyed
    return;
  }
  stop_.store(true, std::memory_order_relaxed);
  jobs_.fetch_add(1, std::memory_order_release);
  jobs_.notify_all();
  for (std::thread &worker : workers_)
    worker.join();
}

void ThreadPool::run(Task task, void *arg, int64_t n) {
  if (n <= 1 || workers_.empty() || forks_ != forks || busy_.exchange(true, std::memory_order_acquire)) {
    for (int64_t i = 0; i < n; ++i)
      task(arg, i);
    return;
  }
  auto shares = static_cast<uint32_t>(std::min<int64_t>(n, 64));
  task_ = task;
  arg_ = arg;
  n_ = n;
  unfinished_.store(shares, std::memory_order_relaxed);
  unclaimed_.store(~uint64_t{0} >> (64 - shares), std::memory_order_release);
  jobs_.fetch_add(1, std::memory_order_release);
  jobs_.notify_all();
  while (take_one(0))
    ;
  while (uint32_t left = unfinished_.load(std::memory_order_acquire))
    wait_while(unfinished_, left);
  busy_.store(false, std::memory_order_release);
}

// Claims and runs one share; false if all are claimed. A thread that was put aside between load and exchange may claim
// from a later job: as good, for the fields are read after the claim.
bool ThreadPool::take_one(unsigned self) {
  uint64_t open = unclaimed_.load(std::memory_order_acquire);
  uint64_t bit;
  do {
    if (open == 0)
      return false;
    int first = std::countr_zero(std::rotr(open, self % 64));
    bit = uint64_t{1} << ((self + first) % 64);
  } while (!unclaimed_.compare_exchange_weak(open, open & ~bit, std::memory_order_acq_rel, std::memory_order_acquire));
  for (int64_t i = std::countr_zero(bit); i < n_; i += 64)
    task_(arg_, i);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    unfinished_.notify_one();
  return true;
}

void ThreadPool::work(unsigned self) {
  while (true) {
    // Read before looking for work: a job that comes after the look changes it, so the wait below does not miss it.
    uint32_t seen = jobs_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed))
      return;
    while (take_one(self))
      ;
    wait_while(jobs_, seen);
  }
}

} // namespace nnc

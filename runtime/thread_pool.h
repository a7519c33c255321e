// ThreadPool: threads for the entries of a compiled model, behind the host callback `run(pool, task, arg, n)`.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace nnc {

// `threads` counts the caller of `run`, so a pool of one has no thread of its own. Any thread may call `run`; if another
// call is under way (from another thread, or from inside a task) the work is done by the caller alone. So it is in a child
// of fork, which has no thread but the one that forked; a pool made there has threads again.
class ThreadPool {
public:
  using Task = void (*)(void *arg, int64_t i);

  // Throws std::system_error where the system does not give as many threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(arg, i) for all 0 <= i < n and returns when all are done. A task must not throw.
  void run(Task task, void *arg, int64_t n);

  // The host callback: `pool` is a ThreadPool.
  static void run_callback(void *pool, Task task, void *arg, int64_t n) { static_cast<ThreadPool *>(pool)->run(task, arg, n); }

private:
  void end();
  void work(unsigned self);
  bool take_one(unsigned self);

  // A job is cut into at most 64 shares: share s is the tasks s, s + 64, s + 128, … A share is claimed by clearing its bit,
  // and each thread asks for its own number first, so that slice i meets the same caches in every job.
  std::atomic<uint64_t> unclaimed_ = 0;
  // Valid while a share is claimed and not finished: written before `unclaimed_`, read after a claim.
  Task task_ = nullptr;
  void *arg_ = nullptr;
  int64_t n_ = 0;

  std::atomic<uint32_t> unfinished_ = 0; // shares
  std::atomic<uint32_t> jobs_ = 0;       // counts the jobs: what idle workers watch
  std::atomic<bool> busy_ = false;
  std::atomic<bool> stop_ = false;
  std::vector<std::thread> workers_;
  unsigned forks_; // those before the workers were made
};

} // namespace nnc

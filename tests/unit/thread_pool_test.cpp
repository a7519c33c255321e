// The thread pool: each task exactly once, from any thread, after any pause, and really at the same time.

#include "runtime/abi.h"
#include "runtime/thread_pool.h"

#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace nnc {
namespace {

// Runs `f(i)` for all i < n on the pool, through the host callback as an artefact would.
template <typename F> void run(ThreadPool &pool, int64_t n, F f) {
  nnc_context context = {};
  context.pool = &pool;
  context.run = ThreadPool::run_callback;
  context.run(context.pool, [](void *arg, int64_t i) { (*static_cast<F *>(arg))(i); }, &f, n);
}

TEST(ThreadPool, RunsEachTaskOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t n : {0, 1, 2, 3, 8, 63, 64, 65, 1000}) {
      std::vector<int> calls(n, 0); // not atomic: `run` must order the tasks before its return
      run(pool, n, [&](int64_t i) { ++calls.at(i); });
      EXPECT_EQ(calls, std::vector<int>(n, 1)) << threads << " threads, " << n << " tasks";
    }
  }
}

TEST(ThreadPool, ManyShortJobs) {
  ThreadPool pool(3);
  std::vector<int64_t> sums(3, 0), expected(3, 0);
  for (int64_t job = 0; job < 20000; ++job) {
    int64_t n = 1 + job % 3;
    run(pool, n, [&](int64_t i) { sums[i] += job; });
    for (int64_t i = 0; i < n; ++i)
      expected[i] += job;
  }
  EXPECT_EQ(sums, expected);
}

TEST(ThreadPool, TasksRunAtTheSameTime) {
  ThreadPool pool(2);
  for (int job = 0; job < 50; ++job) {
    std::atomic<int> arrived = 0;
    std::atomic<bool> met = true;
    run(pool, 2, [&](int64_t) {
      ++arrived;
      auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
      while (arrived < 2 && met)
        if (std::chrono::steady_clock::now() > deadline)
          met = false;
    });
    ASSERT_TRUE(met) << "the second task did not start before the first was done";
  }
}

TEST(ThreadPool, WakesAfterAPause) {
  ThreadPool pool(2);
  for (int job = 0; job < 20; ++job) {
    std::atomic<int> done = 0;
    run(pool, 5, [&](int64_t) { ++done; });
    EXPECT_EQ(done, 5);
    std::this_thread::sleep_for(std::chrono::milliseconds(1)); // longer than workers spin
  }
}

TEST(ThreadPool, WaitsForASlowTask) {
  ThreadPool pool(2);
  std::vector<int> done(2, 0);
  run(pool, 2, [&](int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i == 1 ? 20 : 0));
    done[i] = 1;
  });
  EXPECT_EQ(done, std::vector<int>(2, 1));
}

TEST(ThreadPool, MayBeCalledFromSeveralThreadsAndFromItsTasks) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  std::vector<std::atomic<int>> calls(3);
  for (int caller = 0; caller < 3; ++caller)
    callers.emplace_back([&, caller] {
      for (int job = 0; job < 500; ++job)
        run(pool, 4, [&](int64_t) { run(pool, 2, [&](int64_t) { ++calls[caller]; }); });
    });
  for (std::thread &caller : callers)
    caller.join();
  for (const std::atomic<int> &count : calls)
    EXPECT_EQ(count, 500 * 4 * 2);
}

TEST(ThreadPool, HasNoThreadsInAChildOfFork) {
  auto pool = std::make_unique<ThreadPool>(16); // more stacks than the C library keeps for new threads
  std::vector<int> calls(100, 0);
  run(*pool, 100, [&](int64_t i) { ++calls[i]; });
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    alarm(60); // a child that hangs ends, too
    std::thread::id here = std::this_thread::get_id();
    run(*pool, 100, [&](int64_t i) { calls[i] += std::this_thread::get_id() == here; });
    pool.reset();
    _exit(calls == std::vector<int>(100, 2) ? 0 : 1);
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  run(*pool, 100, [&](int64_t i) { ++calls[i]; });
  EXPECT_EQ(calls, std::vector<int>(100, 2));
}

TEST(ThreadPool, MayEndAtOnce) {
  for (int i = 0; i < 50; ++i)
    std::make_unique<ThreadPool>(4);
}

} // namespace
} // namespace nnc

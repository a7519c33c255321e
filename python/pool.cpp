// The thread pool for the Python package, which loads this beside itself: threads of Python would wait for its lock.
#include "runtime/thread_pool.h"

extern "C" {
// Null where the system has no threads left.
void *nnc_pool_new(int threads) {
  try {
    return new nnc::ThreadPool(threads);
  } catch (...) {
    return nullptr;
  }
}
void nnc_pool_delete(void *pool) { delete static_cast<nnc::ThreadPool *>(pool); }
void nnc_pool_run(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n) {
  nnc::ThreadPool::run_callback(pool, task, arg, n);
}
}

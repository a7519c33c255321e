// Cases in child processes, many in each: one that crashes, hangs or takes too much memory ends its child alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace nnc {

struct Limits {
  int seconds = 5; // of the processor, so that a busy machine changes nothing
  int64_t megabytes = 1024;
};

// What is wrong with a case; "" if nothing is.
using CaseFunction = std::function<std::string(uint64_t index)>;
// Receives a case with what went wrong; false: enough, nothing more is run.
using ReportFunction = std::function<bool(uint64_t index, const std::string &what)>;

// Runs the cases first, first + 1, …
void run_cases(uint64_t first, uint64_t count, const Limits &limits, const CaseFunction &run, const ReportFunction &report);

} // namespace nnc

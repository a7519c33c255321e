// Ctrl-C and `kill` as a wish to stop soon.
#pragma once

namespace nnc {

// While it lives, the first SIGINT or SIGTERM is only noted; a second one ends the process as ever. What the process ignored
// already, as under nohup, it goes on ignoring. One at a time.
class StopSignals {
public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals &) = delete;
  StopSignals &operator=(const StopSignals &) = delete;

  int caught() const; // the signal; 0: none
};

} // namespace nnc

#include "tools/stop_signals.h"

#include <csignal>

namespace nnc {

namespace {

constexpr int stopping[] = {SIGINT, SIGTERM};
volatile std::sig_atomic_t noted = 0;

void give_back() {
  for (const int signal : stopping)
    if (struct sigaction now; sigaction(signal, nullptr, &now) == 0 && now.sa_handler != SIG_IGN)
      std::signal(signal, SIG_DFL);
}

extern "C" void note_signal(int signal) {
  noted = signal;
  give_back();
}

} // namespace

StopSignals::StopSignals() {
  noted = 0;
  for (const int signal : stopping) {
    struct sigaction before, ours = {};
    ours.sa_handler = note_signal;
    ours.sa_flags = SA_RESTART;
    sigemptyset(&ours.sa_mask);
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction(signal, &ours, nullptr);
  }
}

StopSignals::~StopSignals() { give_back(); }

int StopSignals::caught() const { return noted; }

} // namespace nnc

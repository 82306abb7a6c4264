#include "cli/signals.h"

#include <csignal>

namespace evenkeel::cli {

namespace {

std::atomic<bool> signalled{false};

extern "C" void note_signal(int) { signalled.store(true, std::memory_order_relaxed); }

}  // namespace

void catch_signals() {
  signalled.store(false, std::memory_order_relaxed);
  struct sigaction action {};
  action.sa_handler = note_signal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the handler is gone by the second signal
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A terminal that goes away; who started the command with nohup wants that ignored.
  struct sigaction present {};
  sigaction(SIGHUP, nullptr, &present);
  if (present.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

const std::atomic<bool>& interrupted() { return signalled; }

}  // namespace evenkeel::cli

// What steering changed, kept under /run so that it can be undone when the process that did it is gone.
//
// Written before the first change, removed after the last one was undone. One file for each interface of each
// network namespace. Thread: [control].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/steer_claim.h"
#include "evenkeel/result.h"

namespace evenkeel::control {

struct SteerState {
  std::string interface;
  int interface_index = 0;
  std::uint64_t network_namespace = 0;  // its inode
  std::string actuator;
  int process = 0;
  std::uint64_t process_start = 0;   // in ticks since boot: a number may be given out again
  std::vector<std::uint32_t> table;  // the NIC's indirection table as it was; empty: not touched
  std::string previous_program;      // where the XDP program that was attached before is pinned
  bool previous_generic = false;
};

// Where states are kept, in production /run/evenkeel.
class SteerStateStore {
 public:
  explicit SteerStateStore(std::string folder = "/run/evenkeel") : folder_(std::move(folder)) {}

  // The right to change the interface and its state; nothing: another process has it.
  Result<std::optional<SteerClaim>> claim(const std::string& interface) const;
  // Of the interface in this thread's network namespace; nothing: it was left in order. An error: there is
  // one that cannot be read.
  Result<std::optional<SteerState>> load(const std::string& interface) const;
  Result<void> save(const SteerState& state) const;
  Result<void> remove(const std::string& interface) const;
  std::string path_of(const std::string& interface) const;

 private:
  std::string stem_of(const std::string& interface) const;

  std::string folder_;
};

// This process and this thread's network namespace, filled in.
SteerState own_state(const std::string& interface, int interface_index, const std::string& actuator);

// Whether the process that wrote the state still runs: one that ended is not alive, though its parent may not
// have asked for it yet.
bool is_alive(const SteerState& state);

}  // namespace evenkeel::control

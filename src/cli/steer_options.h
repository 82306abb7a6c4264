// What `evenkeel steer` was told, checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actuator/steering.h"
#include "evenkeel/result.h"

namespace CLI {
class App;
}

namespace evenkeel::cli {

enum class SteerActuator { kAuto, kXdpCpumap, kNicTable };
enum class SteerXdpMode { kAuto, kNative, kGeneric };

struct SteerOptions {
  std::string interface;
  SteerActuator actuator = SteerActuator::kAuto;
  SteerXdpMode xdp_mode = SteerXdpMode::kAuto;
  std::vector<std::uint32_t> cpus;  // online, ascending, at least one
  bool chooses_cpus = false;        // they were named, not simply all that are online
  std::int64_t interval_ns = 250'000'000;
  std::optional<std::int64_t> duration_ns;
  std::string policy = "index";
  actuator::MoveOrder order = actuator::MoveOrder::kIdleFirst;
  std::uint32_t buckets = 512;
  std::uint32_t queue_packets = actuator::kCpuQueueMax;
  double moves_per_second_max = 1'000;
  bool inner_tunnel = false;
  bool dry_run = false;
  bool oneshot = false;
  bool restore = false;
  bool take_over = false;
  bool json = false;
};

// As written on the command line.
struct SteerArguments {
  std::string interface;
  std::string actuator = "auto";
  std::string xdp_mode = "auto";
  std::optional<std::string> cpus;
  std::optional<std::string> exclude_cpus;
  std::string interval = "250ms";
  std::string duration;
  std::string policy = "index";
  std::string order = "idle-first";
  std::string tunnel = "outer";
  std::uint32_t buckets = 512;
  std::uint32_t queue_packets = actuator::kCpuQueueMax;
  double moves_per_second_max = 1'000;
  bool dry_run = false;
  bool oneshot = false;
  bool restore = false;
  bool take_over = false;
  bool json = false;
};

// The command's options; what is written goes to `arguments`.
void add_steer_options(CLI::App& command, SteerArguments& arguments);

// A usage error for what cannot be, on this machine's CPUs.
Result<SteerOptions> read_steer_options(const SteerArguments& arguments);

// Steers until the duration is over or `interrupted` becomes true; returns the exit code.
int steer(const SteerOptions& options);
// The plan on a sample of the traffic, with nothing changed.
int steer_dry_run(const SteerOptions& options);
// Undoes what a steering process that is gone left behind.
int steer_restore(const SteerOptions& options);

}  // namespace evenkeel::cli

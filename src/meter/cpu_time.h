// Where the time of a machine's CPUs goes, from /proc/stat and /proc/PID/schedstat (proc(5)).
//
// Which meter tells the truth for work in kernel threads of a CPU map was measured: the thread's own run time
// (schedstat, nanoseconds, without stolen time) does; softirq time and PSI do not.
// docs/decisions/steer-load.md.
//
// Thread: [control]. Cost: a read of /proc/stat takes about 50 microseconds with two CPUs, 1 ms with 200.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evenkeel::meter {

// Seconds since boot, by what the CPU did.
struct CpuTime {
  double tasks = 0;      // user, nice and system: what the scheduler shares out
  double interrupt = 0;  // interrupts and softirqs: comes before all tasks
  double stolen = 0;     // taken by the hypervisor
  double idle = 0;       // and waiting for input or output
};

// One entry for each CPU of the machine, by CPU number; those that are offline stay empty.
using CpuTimes = std::vector<std::optional<CpuTime>>;

// From the text of /proc/stat. Lines that are not understood are left out.
CpuTimes parse_cpu_times(std::string_view text, double ticks_per_second);
CpuTimes read_cpu_times();

// Nanoseconds that a task ran: field 1 of /proc/PID/schedstat. Nothing: no such task, or the kernel keeps
// none.
std::optional<std::uint64_t> read_run_time_ns(int task);

// Whether a task sleeps, by field 3 of /proc/PID/stat. False where there is no such task.
bool is_asleep(int task);

// A whole small file, or nothing.
std::optional<std::string> read_file(const std::string& path);

// What share of a CPU a task of normal priority can get besides what else ran there: interrupts and stolen
// time are gone, other tasks share evenly and so take at most half. `own_seconds`: the task's own run time,
// which is part of `tasks`. In 0.1 to 1: a busy CPU is a small one, not one to be emptied.
double capacity_beside_others(const CpuTime& before, const CpuTime& after, double own_seconds);

}  // namespace evenkeel::meter

#include "meter/cpu_time.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace evenkeel::meter {
namespace {

// "cpu3 10 0 7 ...": the CPU's number and its first eight fields, or false.
bool parse_line(const std::string& line, std::size_t& cpu, double (&fields)[8]) {
  if (!line.starts_with("cpu") || line.size() < 5 || line[3] < '0' || line[3] > '9') return false;
  std::istringstream stream(line.substr(3));
  stream >> cpu;
  for (double& field : fields) stream >> field;
  return !stream.fail();
}

}  // namespace

CpuTimes parse_cpu_times(std::string_view text, double ticks_per_second) {
  enum { kUser, kNice, kSystem, kIdle, kWait, kInterrupt, kSoftInterrupt, kSteal };
  CpuTimes times;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    std::size_t cpu = 0;
    double ticks[8] = {};
    if (!parse_line(line, cpu, ticks)) continue;
    if (cpu >= times.size()) times.resize(cpu + 1);
    times[cpu] = CpuTime{.tasks = (ticks[kUser] + ticks[kNice] + ticks[kSystem]) / ticks_per_second,
                         .interrupt = (ticks[kInterrupt] + ticks[kSoftInterrupt]) / ticks_per_second,
                         .stolen = ticks[kSteal] / ticks_per_second,
                         .idle = (ticks[kIdle] + ticks[kWait]) / ticks_per_second};
  }
  return times;
}

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

CpuTimes read_cpu_times() {
  return parse_cpu_times(read_file("/proc/stat").value_or(""), static_cast<double>(sysconf(_SC_CLK_TCK)));
}

std::optional<std::uint64_t> read_run_time_ns(int task) {
  const auto text = read_file("/proc/" + std::to_string(task) + "/schedstat");
  if (!text) return std::nullopt;
  std::uint64_t run_time_ns = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), run_time_ns);
  if (error != std::errc()) return std::nullopt;
  return run_time_ns;
}

// "17 (a name) S ...": the name may hold anything, but the last ')' ends it.
bool is_asleep(int task) {
  const auto text = read_file("/proc/" + std::to_string(task) + "/stat");
  if (!text) return false;
  const std::size_t end = text->rfind(')');
  return end != std::string::npos && end + 2 < text->size() &&
         ((*text)[end + 2] == 'S' || (*text)[end + 2] == 'I');
}

double capacity_beside_others(const CpuTime& before, const CpuTime& after, double own_seconds) {
  constexpr double kCapacityMin = 0.1;
  const double tasks = std::max(0.0, after.tasks - before.tasks);
  const double gone = std::max(0.0, after.interrupt - before.interrupt + after.stolen - before.stolen);
  const double total = tasks + gone + std::max(0.0, after.idle - before.idle);
  if (total <= 0) return 1;
  const double left = (total - gone) / total;
  const double others = std::max(0.0, tasks - own_seconds) / total;
  return std::clamp(left - std::min(others, left / 2), kCapacityMin, 1.0);
}

}  // namespace evenkeel::meter

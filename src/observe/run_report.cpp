#include "observe/run_report.h"

namespace evenkeel {

std::uint64_t total(const std::vector<ReasonCount>& counts) {
  std::uint64_t packets = 0;
  for (const ReasonCount& count : counts) packets += count.packets;
  return packets;
}

}  // namespace evenkeel

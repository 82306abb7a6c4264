// The run report as a table for a terminal: at most 80 columns, unless a name is longer.
//
// Thread: [any]. Pure but for wants_colour().
#pragma once

#include <string>

#include "observe/run_report.h"

namespace evenkeel::observe {

// Beyond this many workers, the table shows the busiest and the least busy, and says how many it left out.
inline constexpr std::size_t kTableWorkersMax = 16;

std::string report_table(const RunReport& report, bool colour);

// True where `descriptor` is a terminal and neither NO_COLOR (no-color.org) nor TERM=dumb says otherwise.
bool wants_colour(int descriptor);

}  // namespace evenkeel::observe

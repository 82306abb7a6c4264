// The run report as JSON, field by field as docs/report.md defines it (a test compares the two).
//
// Thread: [any]. Pure.
#pragma once

#include <string>

#include "observe/run_report.h"

namespace evenkeel::observe {

// Ends in a newline. Objects are spread over lines, a list of numbers stands on one: easy to read and to
// compare. Fractions are rounded to 6 decimals, seconds to 9.
std::string report_json(const RunReport& report);

}  // namespace evenkeel::observe

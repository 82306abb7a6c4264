// The report as one self-contained HTML page: headline, pictures, tables. It fetches nothing and runs no
// script, so it can be mailed, archived and opened anywhere; light or dark as the reader's system is.
//
// Thread: [any]. Pure. Size: about 100 KB for 8 workers, below 1 MB for 1,024.
#pragma once

#include <string>

#include "observe/run_report.h"

namespace evenkeel::observe {

std::string report_page(const RunReport& report);

}  // namespace evenkeel::observe

// What `evenkeel plan` reads: bucket loads, owners and usage, from CSV or from the JSON that `run --report`
// writes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "evenkeel/ids.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

struct LoadFile {
  std::vector<double> load;
  std::vector<ProcessorId> owner;  // empty: the file does not say
  std::vector<double> usage;       // by processor; empty: the file does not say
  std::vector<double> capacity;    // likewise
  bool measured = false;           // in processors, as a run measured them; otherwise in any unit
};

// A path of - is standard input. A byte-order mark is skipped.
//
// CSV: one load a line; blank lines, lines that begin with #, and a first line of words are left out. JSON:
// `balance.bucket_loads`, `balance.bucket_owners`, and of `workers[]` `busy_fraction` and `capacity`. Errors
// name the file and the line: a file that cannot be read is a runtime error; loads that are negative, not
// finite, all zero or none are usage errors.
Result<LoadFile> read_load_file(const std::string& path);

// CSV with one row of loads for each round, all of one length. Errors: as above.
Result<std::vector<std::vector<double>>> read_rounds_file(const std::string& path);

// The processor of each bucket, one a line. Errors: as above, and numbers that are no processor.
Result<std::vector<ProcessorId>> read_assignment_file(const std::string& path, std::size_t processors);

}  // namespace evenkeel::cli

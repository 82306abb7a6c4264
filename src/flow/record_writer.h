// Writes flow records to a file or to standard output, in one of the formats of docs/flow-records.md.
//
// Thread: one at a time; the order of records is the order of calls.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/output_file.h"
#include "evenkeel/result.h"
#include "flow/record.h"

namespace evenkeel::flow {

enum class RecordFormat : std::uint8_t { kJsonl, kCsv };

// "jsonl" or "csv"; anything else is a usage error.
Result<RecordFormat> parse_record_format(std::string_view name);

class RecordWriter {
 public:
  // "-" is standard output. Fails where `path` cannot be written.
  static Result<RecordWriter> open(const std::string& path, RecordFormat format);

  // False once writing has failed (a full disk); finish() tells why. Cost: formatting and a copy.
  bool write(const FlowRecord& record);

  // Hands what is buffered to the system.
  bool flush() { return file_.flush(); }

  // Writes out the rest and closes. The first error of all writes, if there was one.
  Result<void> finish() { return file_.close(); }

  std::uint64_t records() const { return records_; }

 private:
  RecordWriter(base::OutputFile file, RecordFormat format) : file_(std::move(file)), format_(format) {}

  base::OutputFile file_;
  RecordFormat format_;
  std::uint64_t records_ = 0;
};

}  // namespace evenkeel::flow

#include "flow/record_writer.h"

#include <fmt/format.h>

#include <utility>

#include "flow/export_csv.h"
#include "flow/export_jsonl.h"
#include "flow/record_fields.h"

namespace evenkeel::flow {

Result<RecordFormat> parse_record_format(std::string_view name) {
  if (name == "jsonl") return RecordFormat::kJsonl;
  if (name == "csv") return RecordFormat::kCsv;
  return usage_error(fmt::format("unknown format '{}': accepted are jsonl and csv", name));
}

Result<RecordWriter> RecordWriter::open(const std::string& path, RecordFormat format) {
  Result<base::OutputFile> file = base::OutputFile::open(path);
  if (!file) return file.error();
  RecordWriter writer(std::move(*file), format);
  if (format == RecordFormat::kCsv) {
    writer.file_.commit(append_csv_header(writer.file_.reserve(kRecordBytesMax)));
  }
  return writer;
}

bool RecordWriter::write(const FlowRecord& record) {
  char* const out = file_.reserve(kRecordBytesMax);
  if (out == nullptr) return false;
  file_.commit(format_ == RecordFormat::kCsv ? append_csv(out, record) : append_jsonl(out, record));
  ++records_;
  return true;
}

}  // namespace evenkeel::flow

#include "flow/export_csv.h"

#include <cstring>

#include "base/decimal.h"
#include "flow/record_fields.h"

namespace evenkeel::flow {

namespace {

char* append(char* out, std::uint64_t value) { return base::append_decimal(out, value); }
char* append(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}
char* append(char* out, Ipv4 address) { return append_ipv4(out, address.bytes); }
char* append(char* out, Ipv6 address) { return append_ipv6(out, address.bytes); }

}  // namespace

char* append_csv_header(char* out) {
  for (const RecordField& field : kRecordFields) {
    std::memcpy(out, field.name.data(), field.name.size());
    out += field.name.size();
    *out++ = ',';
  }
  out[-1] = '\n';
  return out;
}

char* append_csv(char* out, const FlowRecord& record) {
#define EVENKEEL_FIELD(name, element, present, value, meaning) \
  if (present) out = append(out, value);                       \
  *out++ = ',';
  EVENKEEL_FLOW_FIELDS(EVENKEEL_FIELD)
#undef EVENKEEL_FIELD
  out[-1] = '\n';  // in place of the last comma
  return out;
}

}  // namespace evenkeel::flow

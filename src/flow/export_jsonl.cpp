#include "flow/export_jsonl.h"

#include <cstring>

#include "base/decimal.h"
#include "flow/record_fields.h"

namespace evenkeel::flow {

namespace {

char* append_plain(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* append(char* out, std::string_view text) {
  *out++ = '"';
  out = append_plain(out, text);
  *out++ = '"';
  return out;
}

char* append(char* out, std::uint64_t value) { return base::append_decimal(out, value); }

char* append(char* out, Ipv4 address) {
  *out++ = '"';
  out = append_ipv4(out, address.bytes);
  *out++ = '"';
  return out;
}

char* append(char* out, Ipv6 address) {
  *out++ = '"';
  out = append_ipv6(out, address.bytes);
  *out++ = '"';
  return out;
}

}  // namespace

char* append_jsonl(char* out, const FlowRecord& record) {
  *out++ = '{';
#define EVENKEEL_FIELD(name, element, present, value, meaning) \
  if (present) {                                               \
    out = append_plain(out, "\"" #name "\":");                 \
    out = append(out, value);                                  \
    *out++ = ',';                                              \
  }
  EVENKEEL_FLOW_FIELDS(EVENKEEL_FIELD)
#undef EVENKEEL_FIELD
  out[-1] = '}';  // in place of the last comma
  *out++ = '\n';
  return out;
}

}  // namespace evenkeel::flow

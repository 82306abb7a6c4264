// Flow records as CSV (RFC 4180, but lines end in a bare newline): a header line with the names of
// record_fields.h, then a line a record with the same columns for every record. What a record does not have
// (the address of the other IP version) is empty. No value needs quotes.
//
// Thread: [any]. Nothing allocates.
#pragma once

#include "flow/record.h"

namespace evenkeel::flow {

// Both write at `out`, which has room for kRecordBytesMax, and return the end.
char* append_csv_header(char* out);
char* append_csv(char* out, const FlowRecord& record);

}  // namespace evenkeel::flow

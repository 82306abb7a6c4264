// Flow records as JSON Lines: an object a line, the fields of record_fields.h in their order; addresses are
// strings, everything else whole numbers.
//
// Thread: [any]. Nothing allocates.
#pragma once

#include "flow/record.h"

namespace evenkeel::flow {

// Writes the record and a newline at `out`, which has room for kRecordBytesMax, and returns the end.
char* append_jsonl(char* out, const FlowRecord& record);

}  // namespace evenkeel::flow

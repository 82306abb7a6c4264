// Weights of connections from a configuration file (docs/queueing.md):
//
//   [[rule]]
//   network = "10.1.0.0/16"
//   port = 443
//   protocol = "tcp"
//   weight = 4
//
// Thread: [control].
#pragma once

#include <string>
#include <string_view>

#include "engine/queue_weights.h"
#include "evenkeel/result.h"

namespace evenkeel::runtime {

// A file that cannot be read is a runtime error; one that says something else than rules is a usage error, of
// one line, with the place.
Result<engine::QueueWeights> read_queueing_rules(const std::string& path);

// `name`: of the file, for messages.
Result<engine::QueueWeights> parse_queueing_rules(std::string_view text, const std::string& name);

}  // namespace evenkeel::runtime

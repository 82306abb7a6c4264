// Reading numbers as people write them in options.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "evenkeel/result.h"

namespace evenkeel::base {

// "100ms", "1.5s", "2m", "1h", "250us", "10ns" to nanoseconds. A number without a unit, a negative one, and
// one beyond 292 years are usage errors.
Result<std::int64_t> parse_duration(std::string_view text);

// "5", "10k", "20M", "1G": a whole number, perhaps in thousands, millions or billions. Nothing for any other
// text, and for what 64 bits do not hold.
std::optional<std::uint64_t> parse_count(std::string_view text);

// "0,2-3" to {0, 2, 3}: a list as taskset(1) takes it. Anything else is a usage error.
Result<std::vector<std::uint32_t>> parse_cpu_list(std::string_view text);

// Whether every character has the form of UTF-8 (RFC 3629, without its bans on surrogates and long forms).
bool is_utf8(std::string_view text);

}  // namespace evenkeel::base

// What options accept: checks of their text, before it is converted, so that whatever is wrong is one line
// that says what would be right. Put together in one place, so that all commands agree.
//
// Each is given to CLI::Option::check(); those of whole numbers to transform(), as they rewrite the text. A
// text that passes is one that CLI11 converts without error; whole numbers are rewritten as it reads them (it
// would take 010 for eight).
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace CLI {
class Validator;
}

namespace evenkeel::cli {

// "4": no sign, no fraction, nothing after it.
CLI::Validator whole_number(std::uint64_t min, std::uint64_t max);

// "1G", "200k", "5": rewritten as a plain number.
CLI::Validator count(std::uint64_t min, std::uint64_t max);

CLI::Validator power_of_two(std::uint64_t max);

// "0.5", "1e3": finite, with both ends included.
CLI::Validator number(double min, double max);

// The same, without 0.
CLI::Validator number_above_0(double max);

// "100ms": as base::parse_duration() takes it, of at least and at most so long.
CLI::Validator duration(std::int64_t min_ns = 1,
                        std::int64_t max_ns = std::numeric_limits<std::int64_t>::max());
// Of a text that has been checked; beyond 146 years as good as that (base/time_range.h).
std::int64_t duration_ns(const std::string& text);

// A path, or - for standard output (`stream`: its name).
CLI::Validator path_or_stream(const char* stream);

// Relative capacities of processors: what `run` and `plan` agree on.
inline constexpr double kCapacityMin = 1e-3;
inline constexpr double kCapacityMax = 1e6;

}  // namespace evenkeel::cli

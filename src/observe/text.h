// Numbers as people read them: grouped digits, three significant figures, units.
//
// Thread: [any]. Pure. The same text in every locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace evenkeel::observe {

// 1234567 as "1,234,567".
std::string count_text(std::uint64_t count);

// 2164502.1 with "pps" as "2.16 Mpps"; powers of 1,000: k, M, G, T.
std::string rate_text(double per_second, std::string_view unit);

// "250 us", "420 ms", "12.3 s", "4 min 12 s", "3 h 02 min", "2 d 03 h". Negative is 0.
std::string duration_text(double seconds);

// 0.9214 as "92.1 %".
std::string percent_text(double fraction);

// 1.034 as "1.034".
std::string ratio_text(double ratio);

}  // namespace evenkeel::observe

// IP addresses as text: dotted decimal, and RFC 5952 for IPv6. IPv4 is formatted here because the C library
// goes through sprintf for it, and every record has two.
//
// Thread: [any]. Nothing allocates.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace evenkeel::flow {

// In network byte order; IPv4 in the first 4 bytes.
using AddressBytes = std::array<std::uint8_t, 16>;

inline constexpr std::size_t kIpv4TextMax = 16;  // 15, and what is written behind it and does not count
inline constexpr std::size_t kIpv6TextMax = 45;

// Write without a terminating zero and return the end. Room for the longest text is the caller's duty.
char* append_ipv4(char* out, const AddressBytes& address);
char* append_ipv6(char* out, const AddressBytes& address);

}  // namespace evenkeel::flow

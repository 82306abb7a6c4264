// Writes Ethernet frames of generated connections: IPv4 or IPv6, TCP or UDP. The payload is all zeros, so
// that the transport checksums are right although only the first bytes of a frame are kept.
#pragma once

#include <cstddef>
#include <cstdint>

#include "source/generator/conversation.h"

namespace evenkeel::source {

// Bytes kept of a frame: the longest headers (Ethernet, IPv6, TCP: 74) and the first of the payload.
inline constexpr std::size_t kSnapBytes = 96;

// Writes the first kSnapBytes bytes of the frame to `to`, which has room for them, and returns the length of
// the whole frame (60 at least: shorter ones are padded).
std::uint32_t write_frame(Conversation& conversation, const Utterance& utterance, std::uint8_t* to);

// The Internet sum (RFC 1071) of the addresses, for Conversation::address_sum.
std::uint16_t address_sum(const Conversation& conversation);

}  // namespace evenkeel::source

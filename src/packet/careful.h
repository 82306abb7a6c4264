// The careful way through parsing, for any packet. parse() takes a fast one for the most common packets
// (plain.cpp) and this one for all others; both say the same of every packet, and a test compares them.
// Internal to src/packet.
#pragma once

#include "packet/parse.h"

namespace evenkeel::packet {

ParseResult parse_carefully(Packet& packet, const ParseOptions& options);

}  // namespace evenkeel::packet

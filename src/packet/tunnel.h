// Tunnels: from a datagram to the one that it carries. Internal to src/packet.
//
// Sources: RFC 2784, 2890 (GRE), 7637 (NVGRE), 7348 (VXLAN), 8926 (GENEVE), 3GPP TS 29.281 (GTP-U), 2003
// (IP-in-IP), 4213 (6in4), 2473 (IPv6 tunnels). UDP tunnels are known by their port.
#pragma once

#include "packet/datagram.h"

namespace evenkeel::packet {

// True and `inner` filled where the datagram is a tunnel whose inside can be read. The inside ends where the
// datagram ends.
bool read_inner(const Datagram& outer, Datagram& inner);

}  // namespace evenkeel::packet

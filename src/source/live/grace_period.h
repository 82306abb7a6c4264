// Waits until the kernel has finished all packets that it was working on.
//
// Packets pass through the kernel within read-side sections of RCU, programs included: when a grace period is
// over, every packet that met an older state of a table or a filter is in its ring. Two system calls wait for
// one: membarrier(2) with MEMBARRIER_CMD_GLOBAL and, where the kernel does not offer that (nohz_full), the
// closing of a packet socket.
//
// Thread: [any]. Cost: 5 to 50 ms.
#pragma once

namespace evenkeel::source {

void wait_for_grace_period();

}  // namespace evenkeel::source

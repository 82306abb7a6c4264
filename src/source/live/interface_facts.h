// What the kernel says of an interface, in the network namespace of the calling thread.
//
// Thread: [control].
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "evenkeel/packet.h"
#include "evenkeel/result.h"

namespace evenkeel::source {

// 0: there is none of that name.
int index_of_interface(const std::string& name);
// "": there is none of that number.
std::string name_of_interface(int index);
// "eth0, lo"
std::string names_of_interfaces();
bool interface_is_up(const std::string& name);
bool is_loopback(const std::string& name);
// What its packets begin with; an error where that is not understood.
Result<LinkType> link_of_interface(const std::string& name);
// Receive queues, at least 1.
std::uint32_t receive_queues_of(const std::string& name);

}  // namespace evenkeel::source

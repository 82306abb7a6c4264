// Two questions to the kernel's routing socket (rtnetlink(7)) that no other interface answers.
//
// Thread: [control]. The answers are about the network namespace of the calling thread.
#pragma once

#include <cstdint>
#include <optional>

namespace evenkeel::actuator {

// In which network namespace an interface's peer is, by the number that this namespace has given that one.
// Nothing: in this one.
std::optional<std::int32_t> peer_namespace_identity(int interface_index);

// The number that this network namespace has given the one of the descriptor. Nothing: none.
std::optional<std::int32_t> namespace_identity(int descriptor);

}  // namespace evenkeel::actuator

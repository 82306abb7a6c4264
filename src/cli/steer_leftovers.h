// Who may change an interface, and how what was changed is undone: by the one who did it, or by a successor.
//
// Thread: [control].
#pragma once

#include <string>

#include "control/steer_claim.h"
#include "control/steer_state.h"
#include "evenkeel/result.h"

namespace evenkeel::cli {

// The right to steer the interface, until it is destroyed. A runtime error names who has it.
Result<control::SteerClaim> claim_interface(const std::string& interface);

// Whether claim_interface() would succeed, as far as the state tells: without taking anything.
Result<void> check_not_steered(const std::string& interface);

// What is left to undo of a state: nothing any more, or the interface itself is gone, and its changes with
// it.
enum class Undone { kPutBack, kInterfaceGone };

// Undoes what a state says was changed. A process that ended took its own programs along; what outlives it is
// put back. An error: not all could be put back; to be tried again, with the state kept.
Result<Undone> undo(const control::SteerState& state);

// Undoes and forgets what a killed predecessor left: "as it was found" means before that one. Only with the
// claim.
Result<Undone> clear_leftovers(const control::SteerState& state);

}  // namespace evenkeel::cli

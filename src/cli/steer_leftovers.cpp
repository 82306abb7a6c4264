#include "cli/steer_leftovers.h"

#include <fmt/format.h>

#include <optional>

#include "actuator/network_interface.h"
#include "actuator/nic_table/card.h"
#include "actuator/xdp_owner.h"
#include "cli/commands.h"
#include "cli/standard_output.h"
#include "cli/steer_options.h"

namespace evenkeel::cli {

namespace {

Error already_steered(const std::string& interface, const std::string& by) {
  return runtime_error(fmt::format("{} is already steered by {}: end that first", interface, by));
}

}  // namespace

Result<void> check_not_steered(const std::string& interface) {
  const auto state = control::SteerStateStore().load(interface);
  if (!state || !*state || !control::is_alive(**state)) return {};
  return already_steered(interface, fmt::format("process {}", (*state)->process));
}

Result<control::SteerClaim> claim_interface(const std::string& interface) {
  auto claim = control::SteerStateStore().claim(interface);
  if (!claim) return claim.error();
  if (*claim) return std::move(**claim);
  if (auto free = check_not_steered(interface); !free) return free.error();
  return already_steered(interface, "another process");
}

Result<Undone> undo(const control::SteerState& state) {
  if (!actuator::is_present(state.interface, state.interface_index)) {
    if (!state.previous_program.empty()) actuator::forget_xdp_program(state.previous_program);
    return Undone::kInterfaceGone;
  }
  if (!state.table.empty()) {
    if (auto written = actuator::write_table(state.interface, state.table); !written) return written.error();
  }
  if (state.previous_program.empty()) return Undone::kPutBack;
  const auto back =
      actuator::put_xdp_program_back(state.interface_index, state.previous_program, state.previous_generic);
  if (!back) return back.error();
  return Undone::kPutBack;
}

Result<Undone> clear_leftovers(const control::SteerState& state) {
  const control::SteerStateStore store;
  const auto undone = undo(state);
  if (!undone) {
    return runtime_error(fmt::format(
        "{}; remove what is in its way and run `evenkeel steer {} --restore`, or give it up: "
        "rm -f {} {}",
        undone.error().message, state.interface, store.path_of(state.interface), state.previous_program));
  }
  if (auto removed = store.remove(state.interface); !removed) return removed.error();
  return undone;
}

namespace {

Result<void> restore(const std::string& interface) {
  const control::SteerStateStore store;
  auto state = store.load(interface);
  if (!state) return state.error();
  if (!*state) {
    if (auto found = actuator::find_interface(interface); !found) return found.error();
    print("{}: nothing was left to restore\n", interface);
    return {};
  }
  const auto claimed = claim_interface(interface);
  if (!claimed) return claimed.error();
  state = store.load(interface);  // as it is now that nobody else may change it
  if (!state) return state.error();
  if (!*state) return restore(interface);
  const auto undone = clear_leftovers(**state);
  if (!undone) return undone.error();
  if (*undone == Undone::kPutBack) {
    print("{}: restored\n", interface);
  } else {
    print("{}: the interface that was steered is gone (deleted, renamed or moved): nothing was put back\n",
          interface);
  }
  return {};
}

}  // namespace

int steer_restore(const SteerOptions& options) {
  if (auto done = restore(options.interface); !done) return report_error(done.error());
  return kExitDone;
}

}  // namespace evenkeel::cli

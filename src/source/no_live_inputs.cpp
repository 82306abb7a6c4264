// Stands in for live interfaces in a build without kernel programs.
#ifndef EVENKEEL_HAS_BPF

#include "source/live/live_inputs.h"

namespace evenkeel::source {

bool is_live_spec(std::string_view text) {
  return text.starts_with("af_packet:") || text.starts_with("af_xdp:");
}

Result<std::unique_ptr<LiveInputs>> open_live_inputs(const std::vector<std::string>&, const LiveOptions&) {
  return runtime_error(
      "this build leaves out live interfaces, as clang or libbpf was missing: install them with `./dev setup "
      "bpf` and build again with `./dev build`");
}

}  // namespace evenkeel::source

#endif

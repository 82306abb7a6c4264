#include "source/live/live_interface.h"

namespace evenkeel::source {

Result<std::unique_ptr<LiveInterface>> make_xdp_interface(const LiveInterfaceSetting&) {
  return runtime_error("af_xdp inputs are not there yet: use af_packet");
}

}  // namespace evenkeel::source

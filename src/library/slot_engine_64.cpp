#include "library/slot_engine.h"

namespace evenkeel::library {

Result<std::unique_ptr<runtime::DrivenEngine>> make_slot_engine_64(const engine::EngineOptions& options,
                                                                   std::vector<Source*> sources,
                                                                   packet::Hasher hasher,
                                                                   const Handlers& handlers) {
  return make_slot_engine<64>(options, std::move(sources), std::move(hasher), handlers);
}

}  // namespace evenkeel::library

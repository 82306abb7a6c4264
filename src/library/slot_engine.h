// Engines for handlers of an author's program, one for each size of slot. Each size is a translation unit of
// its own, as each compiles the whole engine.
//
// Thread: [control].
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "evenkeel/result.h"
#include "evenkeel/source.h"
#include "library/slot_handler.h"
#include "packet/hash.h"
#include "runtime/driven_engine.h"

namespace evenkeel::library {

// And 72 bytes more for each connection: its key, and what the engine keeps of it.
inline constexpr std::array<std::size_t, 4> kSlotBytes = {32, 64, 128, 256};
static_assert(8 + kTimersMax * sizeof(std::int64_t) + kStateBytesMax <= kSlotBytes.back());

// By worker, both.
struct Handlers {
  const detail::HandlerCalls& calls;
  std::span<void* const> objects;
  std::span<HandlerMeters> meters;
};

using MakeSlotEngine = Result<std::unique_ptr<runtime::DrivenEngine>>(const engine::EngineOptions& options,
                                                                      std::vector<Source*> sources,
                                                                      packet::Hasher hasher,
                                                                      const Handlers& handlers);

MakeSlotEngine make_slot_engine_32, make_slot_engine_64, make_slot_engine_128, make_slot_engine_256;

// The definition of one of them.
template <std::size_t kBytes>
Result<std::unique_ptr<runtime::DrivenEngine>> make_slot_engine(const engine::EngineOptions& options,
                                                                std::vector<Source*> sources,
                                                                packet::Hasher hasher,
                                                                const Handlers& handlers) {
  static_assert(sizeof(engine::Connection<typename SlotHandler<kBytes>::State>) == 32 + kBytes);
  return runtime::DrivenEngineOf<SlotHandler<kBytes>>::make(
      options, std::move(sources), std::move(hasher), [&handlers](ProcessorId id) {
        return SlotHandler<kBytes>(handlers.calls, handlers.objects[id.value()], handlers.meters[id.value()]);
      });
}

}  // namespace evenkeel::library

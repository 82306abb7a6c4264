// Deliberate faults: places where a law can be broken on purpose, to show that the check of that law can
// fail.
//
// In the product fault(...) is the constant false and costs nothing. Only programs built with EVENKEEL_FAULTS
// (the simulation's own tests) can turn a fault on.
#pragma once

#include <cstdint>
#include <string_view>

namespace evenkeel::base {

// enumerator, name, the law that it breaks (docs: ARCHITECTURE.md, "Laws")
#define EVENKEEL_FAULTS_LIST(X)                                                                         \
  X(kTakeOverAtOnce, "take_over_at_once", "ownership: a new owner does not wait for the old one")       \
  X(kServeBeforeParked, "serve_before_parked", "order: parked packets are served in reverse")           \
  X(kLetGoAtFirstMark, "let_go_at_first_mark", "ownership: an old owner waits for one dispatcher only") \
  X(kSkipFence, "skip_fence", "order: an old owner lets go before it has read its own kernel ring")     \
  X(kSkipGracePeriod, "skip_grace_period",                                                              \
    "order: the kernel's new table counts while packets that met the old one are on their way")         \
  X(kStayStarved, "stay_starved",                                                                       \
    "progress: a kernel ring whose descriptors are all lent out is not read up to its fence")           \
  X(kForgetParked, "forget_parked", "conservation: parked packets are lost at a handover")              \
  X(kServeUnowned, "serve_unowned", "ownership: a worker serves a bucket that is on its way to it")     \
  X(kLoseTimers, "lose_timers", "timers: a new owner does not look for what is due in its bucket")      \
  X(kKeepTimersDue, "keep_timers_due", "ownership: an old owner goes on serving a bucket's timers")     \
  X(kServePastQueue, "serve_past_queue", "order: packets are served while older ones are queued")       \
  X(kServeParkedFirst, "serve_parked_first",                                                            \
    "order: parked packets are served before the queue that a bucket brought")                          \
  X(kForgetQueued, "forget_queued", "conservation: a bucket's queue stays behind at a handover")        \
  X(kShedUncounted, "shed_uncounted", "conservation: packets that are shed are not counted")            \
  X(kExpireEarly, "expire_early", "sameness: a timer ends a connection that packets have prolonged")    \
  X(kStarveNew, "starve_new", "isolation: who begins to wait is served when nobody else waits")         \
  X(kIgnoreLimits, "ignore_limits", "boundedness: a queue takes in what exceeds its limits")            \
  X(kAllocate, "allocate", "frugality: a dispatcher allocates memory for each burst")

enum class Fault : std::uint8_t {
  kNone,
#define EVENKEEL_ENUMERATE(id, name, law) id,
  EVENKEEL_FAULTS_LIST(EVENKEEL_ENUMERATE)
#undef EVENKEEL_ENUMERATE
};

inline constexpr std::string_view kFaultNames[] = {"none",
#define EVENKEEL_NAME(id, name, law) name,
                                                   EVENKEEL_FAULTS_LIST(EVENKEEL_NAME)
#undef EVENKEEL_NAME
};

inline constexpr std::string_view kFaultLaws[] = {"none",
#define EVENKEEL_LAW(id, name, law) law,
                                                  EVENKEEL_FAULTS_LIST(EVENKEEL_LAW)
#undef EVENKEEL_LAW
};

// Two namespaces, as both forms may meet in one program.
#ifdef EVENKEEL_FAULTS
inline namespace with_faults {
inline Fault active_fault = Fault::kNone;
inline bool fault(Fault which) { return active_fault == which; }
}  // namespace with_faults
#else
inline namespace without_faults {
constexpr bool fault(Fault) { return false; }
}  // namespace without_faults
#endif

}  // namespace evenkeel::base

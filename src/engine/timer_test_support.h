// For tests of timers: a bucket's wheel beside a model of it, a sorted map of deadlines.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/prefetch.h"
#include "engine/timer_chunks.h"
#include "engine/timer_wheel.h"

namespace evenkeel::engine::testing {

struct ManualClock;
using ManualTick = Tick<ManualClock>;

struct StateArray {
  explicit StateArray(std::uint32_t slots, std::uint32_t kinds_a_slot = 1)
      : kinds(kinds_a_slot), states(std::size_t{slots} * kinds_a_slot) {}
  TimerState& state(TimerName name) { return states[std::size_t{name.slot} * kinds + name.kind]; }
  void prefetch(TimerName name) { base::prefetch_to_write(&state(name)); }

  std::uint32_t kinds;
  std::vector<TimerState> states;
};

// Drives a wheel and checks each thing that fires against the model: not early, not twice, none forgotten.
class ModelledWheel {
 public:
  using Name = std::pair<std::uint32_t, TimerKind>;

  explicit ModelledWheel(std::uint32_t slots, std::uint32_t kinds = 1, std::uint64_t start_tick = 0)
      : arena(TimerArena::make({.timers = std::uint64_t{slots} * kinds}).value()),
        chunks(*arena),
        states(slots, kinds),
        now{start_tick} {}

  void start(TimerName name, std::uint64_t delay) {
    const ManualTick deadline = now + delay;
    ASSERT_EQ(wheel.start(chunks, states, name, now, deadline), TimerStart::kStarted);
    // A deadline that is not in the future is served at the next tick that the wheel has not done yet.
    expect(name, wheel.deadline(states.state(name)).value);
    ASSERT_GE(wheel.deadline(states.state(name)), deadline);
    ASSERT_LE(wheel.deadline(states.state(name)).value, std::max(deadline.value, now.value + 1));
  }

  void cancel(TimerName name) {
    TimerWheel<ManualClock>::cancel(states.state(name));
    model.erase({name.slot, name.kind});
  }

  // The connection ends, and its slot begins anew.
  void clear(TimerName name) {
    wheel.remove(chunks, states, name);
    model.erase({name.slot, name.kind});
  }

  // Moves the clock and serves the wheel in slices until all is done.
  void advance(std::uint64_t ticks, std::uint32_t slice = ~std::uint32_t{0}) {
    now = now + ticks;
    while (!serve(slice)) {
    }
  }

  // One slice. What is left in the model when it says that it is done lies in the future.
  bool serve(std::uint32_t slice) {
    std::uint32_t budget = slice;
    const bool done = wheel.advance(chunks, states, now, budget, [this](TimerName name, ManualTick deadline) {
      const auto expected = model.find({name.slot, name.kind});
      if (expected == model.end()) {
        ADD_FAILURE() << "slot " << name.slot << " fired though it was not armed";
        return;
      }
      EXPECT_EQ(expected->second, deadline.value);
      EXPECT_LE(deadline, now) << "early";
      model.erase(expected);
      ++fired;
      if (on_fire) on_fire(name);
    });
    if (done) {
      for (const auto& [name, deadline] : model)
        EXPECT_GT(deadline, now.value) << "slot " << name.first << " is late";
      EXPECT_GT(wheel.next_due(), now);
    }
    return done;
  }

  std::size_t armed() const { return model.size(); }

  std::unique_ptr<TimerArena> arena;
  TimerChunkCache chunks;
  StateArray states;
  TimerWheel<ManualClock> wheel;
  ManualTick now;
  std::map<Name, std::uint64_t> model;
  std::function<void(TimerName)> on_fire;
  std::uint64_t fired = 0;

 private:
  void expect(TimerName name, std::uint64_t deadline) { model[{name.slot, name.kind}] = deadline; }
};

}  // namespace evenkeel::engine::testing

// Asking for a cache line before it is needed.
//
// GCC 12 takes a function that does nothing but call __builtin_prefetch() for one without effect, and drops
// the calls of it; whether that happens depends on what was inlined before. The empty statement prevents it.
#pragma once

namespace evenkeel::base {

[[gnu::always_inline]] inline void prefetch(const void* address) {
  __builtin_prefetch(address);
  asm volatile("");
}

// It will be written.
[[gnu::always_inline]] inline void prefetch_to_write(const void* address) {
  __builtin_prefetch(address, 1);
  asm volatile("");
}

}  // namespace evenkeel::base

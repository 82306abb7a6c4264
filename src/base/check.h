// Assertions for bugs. CHECK stays on in release: a broken invariant ends the program at once, with its
// place. DCHECK is for what would cost on every packet: on in debug builds, the tests and the simulation.
// Neither is for what operation brings (bad input, missing rights): that is a Result.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace evenkeel::base {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace evenkeel::base

#define CHECK(condition)                             \
  (__builtin_expect(static_cast<bool>(condition), 1) \
       ? static_cast<void>(0)                        \
       : ::evenkeel::base::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define DCHECK(condition) CHECK(condition)
#endif

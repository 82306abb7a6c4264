// What commands print for people and pipes. A write that fails neither throws nor ends the command (one that
// steers still has an interface to put back); the failure stays and becomes the exit code.
//
// Thread: [control].
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>
#include <utility>

#include "evenkeel/result.h"

namespace evenkeel::cli {

inline void write_standard_output(std::string_view text) {
  if (!std::ferror(stdout)) std::fwrite(text.data(), 1, text.size(), stdout);
}

template <typename... T>
void print(fmt::format_string<T...> format, T&&... values) {
  write_standard_output(fmt::format(format, std::forward<T>(values)...));
}

// Hands out what was printed; tells whether all of it so far could be written.
inline Result<void> flush_standard_output() {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return {};
  return runtime_error("standard output cannot be written: what was printed is incomplete");
}

}  // namespace evenkeel::cli

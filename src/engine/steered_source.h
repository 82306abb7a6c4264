// What a dispatcher asks of a source to which the kernel sends the packets of one worker's buckets
// (bucket/steered_moves.h).
//
// Thread: [dispatcher], the one that owns the source.
#pragma once

namespace evenkeel::engine {

class SteeredSource {
 public:
  virtual ~SteeredSource() = default;

  // Remembers what the kernel has put into the rings of this source until now.
  virtual void begin_fence() = 0;

  // Whether receive() has returned all of that.
  virtual bool fence_passed() = 0;
};

}  // namespace evenkeel::engine

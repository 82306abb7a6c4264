// The objects of the kernel programs, as cmake/bpf.cmake embeds them: src/bpf/NAME.bpf.c is
// EVENKEEL_BPF_IMAGE(NAME).
#pragma once

#include <cstddef>
#include <span>

#define EVENKEEL_BPF_IMAGE(name)                                     \
  extern "C" const std::byte evenkeel_bpf_##name##_begin[];          \
  extern "C" const std::byte evenkeel_bpf_##name##_end[];            \
  namespace evenkeel::bpf {                                          \
  inline std::span<const std::byte> name##_image() {                 \
    return {evenkeel_bpf_##name##_begin, evenkeel_bpf_##name##_end}; \
  }                                                                  \
  }

EVENKEEL_BPF_IMAGE(steer)
EVENKEEL_BPF_IMAGE(observe)
EVENKEEL_BPF_IMAGE(fanout)
EVENKEEL_BPF_IMAGE(take)

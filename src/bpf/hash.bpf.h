// Hashes of a connection's addresses and ports for kernel programs, bit for bit those of src/packet/hash.h.
#pragma once

#include "bpf/parse.bpf.h"

// Toeplitz with the symmetric key 6d5a 6d5a ... The key repeats every 16 bits, so a 16-bit word contributes
// the same wherever it stands: the words are folded into one by exclusive or, and the hash of that word is
// the exclusive or of the rotations of 6d5a for each of its set bits, twice side by side.
static __always_inline __u32 evenkeel_hash_symmetric(const struct evenkeel_packet* packet) {
  __u32 folded = 0;
#pragma unroll
  for (int word = 0; word < kTupleWords; ++word) folded ^= packet->tuple[word];
  const __u32 bits = bpf_ntohs((__u16)(folded ^ folded >> 16));
  __u32 hash = 0;
#pragma unroll
  for (int bit = 0; bit < 16; ++bit) {
    const __u32 rotated = (0x6d5a6d5au << bit | 0x6d5a6d5au >> (32 - bit) % 32) & 0xffff;
    hash ^= (bits >> (15 - bit) & 1) * rotated;
  }
  return hash | hash << 16;
}

// Hash functions from a packet's addresses and ports to the number whose low bits are its bucket.
//
//   toeplitz  what network cards compute for receive-side scaling, bit for bit (Microsoft's RSS
//             specification, with its verification suite as a test). Key `symmetric`: 6d5a repeated, both
//             directions of a connection have the same hash (Woo and Park, 2012). Key `standard`: the one of
//             the specification. Or any key of 40 or 52 bytes.
//   crc32c    the Castagnoli checksum of the connection key's addresses and ports; symmetric; the fastest.
//
// With a key that is not symmetric a packet is hashed in its own direction (source, destination), as a
// network card does: the two directions of a connection then land in different buckets.
// The protocol is not hashed, and packets without ports are hashed with ports 0, which for Toeplitz is the
// same as a network card's hash of the addresses alone. More: docs/packets.md.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "evenkeel/packet.h"
#include "evenkeel/result.h"
#include "packet/hash_kernels.h"

namespace evenkeel::packet {

// Chosen at start-up by name; immutable afterwards, so that any number of threads may use one [any]. Cost: a
// batch pays one indirect call; a packet 10 to 60 instructions; no allocation after make().
class Hasher {
 public:
  // name: "toeplitz" or "crc32c". key: "" or "symmetric", "standard", or 80 or 104 hexadecimal digits (colons
  // between bytes are allowed, as ethtool prints them); crc32c takes none. Another name or key is a usage
  // error.
  static Result<Hasher> make(std::string_view name, std::string_view key);

  // Sets `hash` of each packet from its key and its direction.
  void hash(std::span<Packet* const> packets) const { batch_(*state_, packets); }

  // The same for one connection's packets in one direction.
  std::uint32_t hash_one(const ConnectionKey& key, bool reversed) const;

  // Whether both directions of a connection have the same hash.
  bool symmetric() const { return state_->symmetric; }

  const HashState& state() const { return *state_; }

 private:
  Hasher(std::shared_ptr<const HashState> state, HashBatch batch) : state_(std::move(state)), batch_(batch) {}

  std::shared_ptr<const HashState> state_;
  HashBatch batch_;
};

}  // namespace evenkeel::packet

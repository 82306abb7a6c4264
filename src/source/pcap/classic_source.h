// Walks the records of a classic capture in the blocks that read(2) filled: no copy, no call for each packet.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "evenkeel/source.h"
#include "source/block_pool.h"
#include "source/pcap/byte_input.h"
#include "source/pcap/classic_format.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::source {

class ClassicSource final : public Source {
 public:
  struct Capture {
    ClassicFormat format;
    LinkType link = LinkType::kEthernet;
    std::uint32_t snapshot_length = 0;  // longer records are cut to it
  };

  // `input` stands before the file's header.
  ClassicSource(ByteInput input, const Capture& capture, const PcapOptions& options);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override;
  std::optional<Error> error() const override { return error_; }
  std::string name() const override { return input_.name(); }

 private:
  enum class Refill : std::uint8_t { kDone, kWait, kEnd };

  template <bool kSwapped>
  std::size_t walk(std::span<Packet*> out);
  Refill refill();
  bool move_to_next_block();
  std::size_t bytes_wanted() const;
  ReceiveStatus ended();
  void fail(const std::string& reason);

  ByteInput input_;
  Capture capture_;
  BlockPool pool_;
  // Records before cursor_ were handed out; bytes from cursor_ to end_ are yet to be walked.
  Block* block_ = nullptr;
  std::uint8_t* cursor_ = nullptr;
  std::uint8_t* end_ = nullptr;
  std::size_t packets_used_ = 0;  // of the block
  std::size_t fill_bytes_;        // of a block: what its descriptors can be expected to cover
  SourceStatistics statistics_;
  std::optional<Error> error_;
};

}  // namespace evenkeel::source

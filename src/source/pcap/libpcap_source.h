// Packets that libpcap reads one by one, copied into blocks: pcapng and the rarer forms of the classic
// format.
#pragma once

#include <memory>
#include <string>

#include "evenkeel/source.h"
#include "source/block_pool.h"
#include "source/pcap/libpcap_file.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::source {

class LibpcapSource final : public Source {
 public:
  LibpcapSource(std::unique_ptr<LibpcapFile> file, LinkType link, const PcapOptions& options);

  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return true; }
  SourceStatistics statistics() const override;
  std::optional<Error> error() const override { return error_; }
  std::string name() const override { return file_->input().name(); }

 private:
  ReceiveStatus read_next();
  bool make_room();
  Packet* place();

  std::unique_ptr<LibpcapFile> file_;
  BlockPool pool_;
  Block* block_ = nullptr;
  std::size_t packets_used_ = 0;  // of the block
  std::size_t bytes_used_ = 0;    // of the block
  // The packet that libpcap returned last, until it was placed.
  pcap_pkthdr* header_ = nullptr;
  const std::uint8_t* data_ = nullptr;
  SourceStatistics statistics_;
  std::optional<Error> error_;
};

}  // namespace evenkeel::source

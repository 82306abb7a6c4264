// Packets made to order, for the tests: every kind of header that src/packet parses, one call a header from
// the outside in; and files of them, as pcap and pcapng.
//
//   TestPacket packet = PacketBuilder().vlan(7).ipv4("10.0.0.1", "10.0.0.2").tcp(1234, 80, kTcpSyn).build();
//
// Each header is linked to the next (EtherType, protocol number, length fields) when the packet is built.
// IPv4 header checksums are right; transport checksums are 0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evenkeel/packet.h"

namespace evenkeel::tests {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::uint8_t kTcpFin = 0x01;
inline constexpr std::uint8_t kTcpSyn = 0x02;
inline constexpr std::uint8_t kTcpRst = 0x04;
inline constexpr std::uint8_t kTcpPush = 0x08;
inline constexpr std::uint8_t kTcpAck = 0x10;

struct TestPacket {
  std::string description;  // the headers in order: "ethernet vlan ipv4 tcp"
  LinkType link = LinkType::kEthernet;
  Bytes bytes;                    // what was captured
  std::uint32_t wire_length = 0;  // at least bytes.size()
  std::int64_t time_ns = 0;
  std::size_t network_offset = 0;  // of the outermost IP header; 0: there is none, or it comes first

  // As if captured with this snap length.
  TestPacket snapped(std::size_t length) const;
  // As if the wire had lost the rest.
  TestPacket cut(std::size_t length) const;
  TestPacket at(std::int64_t nanoseconds) const;
};

// A descriptor with the [source] fields filled. Refers to the bytes of `packet`.
Packet descriptor_of(const TestPacket& packet);

// The packet's outermost IP datagram as fragments with at most `payload_max` bytes (a multiple of 8) behind
// the IP header. The IPv4 or IPv6 header must have no options or extension headers.
std::vector<TestPacket> fragments_of(const TestPacket& packet, std::size_t payload_max,
                                     std::uint32_t identification);

struct Ipv4Fields {
  std::uint16_t identification = 0;
  std::uint16_t fragment_offset = 0;  // in bytes, a multiple of 8
  bool more_fragments = false;
  std::size_t options_size = 0;  // a multiple of 4, at most 40
};

struct GreFields {
  bool checksum = false;
  bool key = false;
  bool sequence = false;
};

class PacketBuilder {
 public:
  explicit PacketBuilder(LinkType link = LinkType::kEthernet);

  PacketBuilder& vlan(std::uint16_t id, std::uint16_t ether_type = 0x8100);
  PacketBuilder& mpls(std::initializer_list<std::uint32_t> labels);
  PacketBuilder& pseudowire();  // control word; an ethernet() follows
  PacketBuilder& pppoe();
  PacketBuilder& llc_snap();
  PacketBuilder& fabric_path();                         // Cisco's; an ethernet() follows
  PacketBuilder& ethernet();                            // inside a tunnel or a pseudowire
  PacketBuilder& ether_type(std::uint16_t ether_type);  // something else than the headers known here

  PacketBuilder& ipv4(std::string_view source, std::string_view destination, const Ipv4Fields& fields = {});
  PacketBuilder& ipv6(std::string_view source, std::string_view destination);
  PacketBuilder& hop_by_hop(std::size_t size = 8);
  PacketBuilder& routing(std::size_t size = 24);
  PacketBuilder& destination_options(std::size_t size = 8);
  PacketBuilder& authentication(std::size_t size = 24);
  PacketBuilder& fragment(std::uint32_t identification, std::uint16_t offset, bool more);

  PacketBuilder& tcp(std::uint16_t source_port, std::uint16_t destination_port, std::uint8_t flags = kTcpAck,
                     std::size_t options_size = 0);
  PacketBuilder& numbers(std::uint32_t sequence, std::uint32_t acknowledgment);  // behind tcp
  PacketBuilder& udp(std::uint16_t source_port, std::uint16_t destination_port);
  PacketBuilder& sctp(std::uint16_t source_port, std::uint16_t destination_port);
  PacketBuilder& icmp(std::uint8_t type, std::uint8_t code = 0, std::uint32_t rest = 0);
  PacketBuilder& icmpv6(std::uint8_t type, std::uint8_t code = 0, std::uint32_t rest = 0);
  PacketBuilder& protocol(std::uint8_t protocol);  // any other, without a header known here

  PacketBuilder& gre(const GreFields& fields = {});  // behind ip
  PacketBuilder& nvgre(std::uint32_t tenant);        // behind ip; ethernet() follows
  PacketBuilder& vxlan(std::uint32_t network);       // behind udp; ethernet() follows
  PacketBuilder& geneve(std::uint32_t network, std::size_t options_size = 0);  // behind udp
  // Behind udp. extensions: how many 4-byte extension headers.
  PacketBuilder& gtp_user(std::uint32_t tunnel, bool sequence = false, int extensions = 0);

  PacketBuilder& payload(std::size_t size, std::uint8_t fill = 0x2a);
  PacketBuilder& payload(std::span<const std::uint8_t> bytes);

  PacketBuilder& time_ns(std::int64_t nanoseconds);

  TestPacket build() const;

 private:
  // Which kind of number names the header that follows, or this header.
  enum class Naming : std::uint8_t { kNone, kEtherType, kIpProtocol, kPpp, kFamily };
  enum class LengthField : std::uint8_t { kNone, kIpv4, kIpv6, kUdp, kPppoe, kGtp };
  struct Layer {
    std::string name;
    Bytes header;
    Naming next_naming = Naming::kNone;  // of the field at next_offset
    std::size_t next_offset = 0;
    std::uint16_t ether_type = 0;  // what names this header in the one before
    std::uint8_t ip_protocol = 255;
    LengthField length = LengthField::kNone;
  };
  PacketBuilder& add(Layer layer);
  PacketBuilder& extension(std::string name, std::uint8_t protocol, std::size_t size);
  static void link_layers(Layer& before, const Layer& after);
  static void set_length(Layer& layer, std::size_t size_from_here);

  LinkType link_;
  std::int64_t time_ns_ = 0;
  std::vector<Layer> layers_;
};

// One packet of each kind of header and combination that src/packet knows, whole and with fragments: seeds
// for random tests and fuzzers, and a capture with something of everything.
std::vector<TestPacket> packets_of_every_kind();

struct CaptureFormat {
  bool big_endian = false;
  bool nanoseconds = false;  // else microseconds; pcapng: the interface's resolution
  std::uint32_t snap_length = 262'144;
};

// One file of packets, all of one link type (that of the first; Ethernet if there are none).
Bytes pcap_file(std::span<const TestPacket> packets, const CaptureFormat& format = {});
// pcapng: an interface for each link type that occurs.
Bytes pcapng_file(std::span<const TestPacket> packets, const CaptureFormat& format = {});

void write_file(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);

}  // namespace evenkeel::tests

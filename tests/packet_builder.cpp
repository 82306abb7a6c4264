#include "packet_builder.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/check.h"

namespace evenkeel::tests {
namespace {

void append(Bytes& to, std::span<const std::uint8_t> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

// Writes `value` in network order at `offset`.
template <typename Integer>
void put(Bytes& bytes, std::size_t offset, Integer value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    bytes.at(offset + i) = static_cast<std::uint8_t>(value >> (8 * (sizeof value - 1 - i)));
  }
}

std::uint16_t get16(const Bytes& bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes.at(offset) << 8 | bytes.at(offset + 1));
}

void put_address(Bytes& bytes, std::size_t offset, int family, std::string_view text) {
  CHECK(inet_pton(family, std::string(text).c_str(), bytes.data() + offset) == 1);
}

// RFC 1071.
void put_ipv4_checksum(Bytes& bytes, std::size_t offset) {
  const std::size_t size = (bytes.at(offset) & 15u) * 4;
  put<std::uint16_t>(bytes, offset + 10, 0);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < size; i += 2) sum += get16(bytes, offset + i);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  put(bytes, offset + 10, static_cast<std::uint16_t>(~sum));
}

// An IPv4 or TCP header of zeros, and options that all are 1: no operation.
Bytes with_options(std::size_t options_size) {
  Bytes header(20);
  header.resize(20 + options_size, 1);
  return header;
}

constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
constexpr std::uint16_t kEtherTypeTransparentEthernet = 0x6558;

}  // namespace

TestPacket TestPacket::snapped(std::size_t length) const {
  TestPacket copy = *this;
  if (length < copy.bytes.size()) copy.bytes.resize(length);
  copy.description += " snapped to " + std::to_string(length);
  return copy;
}

TestPacket TestPacket::cut(std::size_t length) const {
  TestPacket copy = snapped(length);
  copy.wire_length = static_cast<std::uint32_t>(copy.bytes.size());
  copy.description = description + " cut to " + std::to_string(length);
  return copy;
}

TestPacket TestPacket::at(std::int64_t nanoseconds) const {
  TestPacket copy = *this;
  copy.time_ns = nanoseconds;
  return copy;
}

Packet descriptor_of(const TestPacket& packet) {
  Packet descriptor;
  descriptor.time_ns = packet.time_ns;
  descriptor.now_ns = packet.time_ns;
  descriptor.data = packet.bytes.data();
  descriptor.captured_length = static_cast<std::uint32_t>(packet.bytes.size());
  descriptor.wire_length = packet.wire_length;
  descriptor.link = packet.link;
  return descriptor;
}

namespace {

Bytes fragment_header(std::uint8_t next, std::size_t offset, bool more, std::uint32_t identification) {
  Bytes header(8);
  header[0] = next;
  put(header, 2, static_cast<std::uint16_t>(offset | (more ? 1 : 0)));
  put(header, 4, identification);
  return header;
}

struct Piece {
  std::size_t offset;  // in the datagram's payload
  std::span<const std::uint8_t> payload;
  bool more;
};

Bytes ipv4_fragment(const TestPacket& packet, const Piece& piece, std::uint32_t identification) {
  const std::size_t at = packet.network_offset;
  Bytes bytes(packet.bytes.begin(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(at + 20));
  put(bytes, at + 2, static_cast<std::uint16_t>(20 + piece.payload.size()));
  put(bytes, at + 4, static_cast<std::uint16_t>(identification));
  put(bytes, at + 6, static_cast<std::uint16_t>(piece.offset / 8 | (piece.more ? 0x2000u : 0u)));
  put_ipv4_checksum(bytes, at);
  append(bytes, piece.payload);
  return bytes;
}

Bytes ipv6_fragment(const TestPacket& packet, const Piece& piece, std::uint32_t identification) {
  const std::size_t at = packet.network_offset;
  Bytes bytes(packet.bytes.begin(), packet.bytes.begin() + static_cast<std::ptrdiff_t>(at + 40));
  append(bytes, fragment_header(bytes.at(at + 6), piece.offset, piece.more, identification));
  bytes.at(at + 6) = 44;
  put(bytes, at + 4, static_cast<std::uint16_t>(8 + piece.payload.size()));
  append(bytes, piece.payload);
  return bytes;
}

}  // namespace

std::vector<TestPacket> fragments_of(const TestPacket& packet, std::size_t payload_max,
                                     std::uint32_t identification) {
  CHECK(payload_max % 8 == 0 && payload_max > 0);
  const bool four = packet.bytes.at(packet.network_offset) >> 4 == 4;
  const std::size_t header_end = packet.network_offset + (four ? 20 : 40);
  const auto payload = std::span<const std::uint8_t>(packet.bytes).subspan(header_end);
  std::vector<TestPacket> fragments;
  for (std::size_t offset = 0; offset < payload.size(); offset += payload_max) {
    const std::size_t size = std::min(payload_max, payload.size() - offset);
    const Piece piece{offset, payload.subspan(offset, size), offset + size < payload.size()};
    TestPacket fragment = packet;
    fragment.bytes =
        four ? ipv4_fragment(packet, piece, identification) : ipv6_fragment(packet, piece, identification);
    fragment.wire_length = static_cast<std::uint32_t>(fragment.bytes.size());
    fragment.description += " fragment at " + std::to_string(offset);
    fragments.push_back(std::move(fragment));
  }
  return fragments;
}

PacketBuilder::PacketBuilder(LinkType link) : link_(link) {
  switch (link) {
    case LinkType::kEthernet:
      ethernet();
      break;
    case LinkType::kRawIp:
      break;
    case LinkType::kBsdLoopback:
      add({.name = "loopback", .header = Bytes(4), .next_naming = Naming::kFamily});
      break;
    case LinkType::kLinuxCooked:
      add({.name = "cooked", .header = Bytes(16), .next_naming = Naming::kEtherType, .next_offset = 14});
      break;
    case LinkType::kLinuxCookedTwo:
      add({.name = "cooked2", .header = Bytes(20), .next_naming = Naming::kEtherType, .next_offset = 0});
      break;
  }
}

PacketBuilder& PacketBuilder::add(Layer layer) {
  layers_.push_back(std::move(layer));
  return *this;
}

PacketBuilder& PacketBuilder::ethernet() {
  return add({.name = "ethernet",
              .header = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0},
              .next_naming = Naming::kEtherType,
              .next_offset = 12,
              .ether_type = kEtherTypeTransparentEthernet});
}

PacketBuilder& PacketBuilder::vlan(std::uint16_t id, std::uint16_t ether_type) {
  Layer layer{.name = "vlan",
              .header = Bytes(4),
              .next_naming = Naming::kEtherType,
              .next_offset = 2,
              .ether_type = ether_type};
  put(layer.header, 0, id);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::mpls(std::initializer_list<std::uint32_t> labels) {
  Layer layer{.name = "mpls", .header = Bytes(4 * labels.size()), .ether_type = 0x8847};
  std::size_t offset = 0;
  for (const std::uint32_t label : labels) {
    put(layer.header, offset, label << 12 | 64u);  // time to live
    offset += 4;
  }
  layer.header.at(offset - 2) |= 1;  // bottom of stack
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::pseudowire() { return add({.name = "pseudowire", .header = Bytes(4)}); }

PacketBuilder& PacketBuilder::pppoe() {
  return add({.name = "pppoe",
              .header = {0x11, 0, 0, 9, 0, 0, 0, 0},
              .next_naming = Naming::kPpp,
              .next_offset = 6,
              .ether_type = 0x8864,
              .length = LengthField::kPppoe});
}

PacketBuilder& PacketBuilder::fabric_path() {
  return add({.name = "fabric path", .header = Bytes(2), .ether_type = 0x8903});
}

PacketBuilder& PacketBuilder::llc_snap() {
  return add({.name = "llc",
              .header = {0xaa, 0xaa, 3, 0, 0, 0, 0, 0},
              .next_naming = Naming::kEtherType,
              .next_offset = 6,
              .ether_type = 100});
}

PacketBuilder& PacketBuilder::ether_type(std::uint16_t ether_type) {
  return add({.name = "ether_type " + std::to_string(ether_type), .header = {}, .ether_type = ether_type});
}

PacketBuilder& PacketBuilder::ipv4(std::string_view source, std::string_view destination,
                                   const Ipv4Fields& fields) {
  Layer layer{.name = "ipv4",
              .header = with_options(fields.options_size),
              .next_naming = Naming::kIpProtocol,
              .next_offset = 9,
              .ether_type = kEtherTypeIpv4,
              .ip_protocol = 4,
              .length = LengthField::kIpv4};
  Bytes& header = layer.header;
  header[0] = static_cast<std::uint8_t>(0x40 | header.size() / 4);
  header[8] = 64;
  put(header, 4, fields.identification);
  put(header, 6,
      static_cast<std::uint16_t>(fields.fragment_offset / 8 | (fields.more_fragments ? 0x2000 : 0)));
  put_address(header, 12, AF_INET, source);
  put_address(header, 16, AF_INET, destination);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::ipv6(std::string_view source, std::string_view destination) {
  Layer layer{.name = "ipv6",
              .header = Bytes(40),
              .next_naming = Naming::kIpProtocol,
              .next_offset = 6,
              .ether_type = kEtherTypeIpv6,
              .ip_protocol = 41,
              .length = LengthField::kIpv6};
  layer.header[0] = 0x60;
  layer.header[7] = 64;
  put_address(layer.header, 8, AF_INET6, source);
  put_address(layer.header, 24, AF_INET6, destination);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::extension(std::string name, std::uint8_t protocol, std::size_t size) {
  const std::size_t words = protocol == 51 ? size / 4 - 2 : size / 8 - 1;
  Layer layer{.name = std::move(name),
              .header = Bytes(size),
              .next_naming = Naming::kIpProtocol,
              .next_offset = 0,
              .ip_protocol = protocol};
  layer.header.at(1) = static_cast<std::uint8_t>(words);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::hop_by_hop(std::size_t size) { return extension("hop-by-hop", 0, size); }
PacketBuilder& PacketBuilder::routing(std::size_t size) { return extension("routing", 43, size); }
PacketBuilder& PacketBuilder::destination_options(std::size_t size) {
  return extension("destination", 60, size);
}
PacketBuilder& PacketBuilder::authentication(std::size_t size) {
  return extension("authentication", 51, size);
}

PacketBuilder& PacketBuilder::fragment(std::uint32_t identification, std::uint16_t offset, bool more) {
  return add({.name = "fragment",
              .header = fragment_header(59, offset, more, identification),
              .next_naming = Naming::kIpProtocol,
              .next_offset = 0,
              .ip_protocol = 44});
}

PacketBuilder& PacketBuilder::tcp(std::uint16_t source_port, std::uint16_t destination_port,
                                  std::uint8_t flags, std::size_t options_size) {
  Layer layer{.name = "tcp", .header = with_options(options_size), .ip_protocol = 6};
  put(layer.header, 0, source_port);
  put(layer.header, 2, destination_port);
  layer.header[12] = static_cast<std::uint8_t>(layer.header.size() / 4 << 4);
  layer.header[13] = flags;
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::numbers(std::uint32_t sequence, std::uint32_t acknowledgment) {
  put(layers_.back().header, 4, sequence);
  put(layers_.back().header, 8, acknowledgment);
  return *this;
}

PacketBuilder& PacketBuilder::udp(std::uint16_t source_port, std::uint16_t destination_port) {
  Layer layer{.name = "udp", .header = Bytes(8), .ip_protocol = 17, .length = LengthField::kUdp};
  put(layer.header, 0, source_port);
  put(layer.header, 2, destination_port);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::sctp(std::uint16_t source_port, std::uint16_t destination_port) {
  Layer layer{.name = "sctp", .header = Bytes(12), .ip_protocol = 132};
  put(layer.header, 0, source_port);
  put(layer.header, 2, destination_port);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::icmp(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  Layer layer{.name = "icmp", .header = {type, code, 0, 0, 0, 0, 0, 0}, .ip_protocol = 1};
  put(layer.header, 4, rest);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::icmpv6(std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
  Layer layer{.name = "icmpv6", .header = {type, code, 0, 0, 0, 0, 0, 0}, .ip_protocol = 58};
  put(layer.header, 4, rest);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::protocol(std::uint8_t protocol) {
  return add({.name = "protocol " + std::to_string(protocol), .header = {}, .ip_protocol = protocol});
}

PacketBuilder& PacketBuilder::gre(const GreFields& fields) {
  Layer layer{.name = "gre",
              .header = Bytes(4),
              .next_naming = Naming::kEtherType,
              .next_offset = 2,
              .ip_protocol = 47};
  const bool present[] = {fields.checksum, fields.key, fields.sequence};
  const std::uint8_t flags[] = {0x80, 0x20, 0x10};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!present[i]) continue;
    layer.header[0] |= flags[i];
    layer.header.resize(layer.header.size() + 4);
  }
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::nvgre(std::uint32_t tenant) {
  gre({.key = true});
  layers_.back().name = "nvgre";
  put(layers_.back().header, 4, tenant << 8);
  return *this;
}

PacketBuilder& PacketBuilder::vxlan(std::uint32_t network) {
  Layer layer{.name = "vxlan", .header = {8, 0, 0, 0, 0, 0, 0, 0}};
  put(layer.header, 4, network << 8);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::geneve(std::uint32_t network, std::size_t options_size) {
  Layer layer{.name = "geneve",
              .header = Bytes(8 + options_size),
              .next_naming = Naming::kEtherType,
              .next_offset = 2};
  layer.header[0] = static_cast<std::uint8_t>(options_size / 4);
  put(layer.header, 4, network << 8);
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::gtp_user(std::uint32_t tunnel, bool sequence, int extensions) {
  Layer layer{.name = "gtp", .header = Bytes(8), .length = LengthField::kGtp};
  layer.header[0] = static_cast<std::uint8_t>(0x30 | (sequence ? 2 : 0) | (extensions > 0 ? 4 : 0));
  layer.header[1] = 255;
  put(layer.header, 4, tunnel);
  if (sequence || extensions > 0) append(layer.header, Bytes(4));
  for (int i = 0; i < extensions; ++i) {
    layer.header.back() = 0x85;  // PDU session container
    append(layer.header, Bytes{1, 0, 0, 0});
  }
  return add(std::move(layer));
}

PacketBuilder& PacketBuilder::payload(std::size_t size, std::uint8_t fill) {
  return add({.name = "payload", .header = Bytes(size, fill)});
}

PacketBuilder& PacketBuilder::payload(std::span<const std::uint8_t> bytes) {
  return add({.name = "payload", .header = Bytes(bytes.begin(), bytes.end())});
}

PacketBuilder& PacketBuilder::time_ns(std::int64_t nanoseconds) {
  time_ns_ = nanoseconds;
  return *this;
}

void PacketBuilder::link_layers(Layer& before, const Layer& after) {
  switch (before.next_naming) {
    case Naming::kNone:
      break;
    case Naming::kEtherType:
      if (after.ether_type != 0) put(before.header, before.next_offset, after.ether_type);
      break;
    case Naming::kIpProtocol:
      if (after.ip_protocol != 255) put(before.header, before.next_offset, after.ip_protocol);
      break;
    case Naming::kPpp:
      put<std::uint16_t>(before.header, before.next_offset, after.ether_type == kEtherTypeIpv6 ? 0x57 : 0x21);
      break;
    case Naming::kFamily:
      before.header[0] = after.ether_type == kEtherTypeIpv6 ? 30 : 2;
      break;
  }
}

void PacketBuilder::set_length(Layer& layer, std::size_t size_from_here) {
  const auto size = static_cast<std::uint16_t>(size_from_here);
  switch (layer.length) {
    case LengthField::kNone:
      break;
    case LengthField::kIpv4:
      put(layer.header, 2, size);
      put_ipv4_checksum(layer.header, 0);
      break;
    case LengthField::kIpv6:
      put(layer.header, 4, static_cast<std::uint16_t>(size - 40));
      break;
    case LengthField::kUdp:
      put(layer.header, 4, size);
      break;
    case LengthField::kPppoe:
      put(layer.header, 4, static_cast<std::uint16_t>(size - 6));
      break;
    case LengthField::kGtp:
      put(layer.header, 2, static_cast<std::uint16_t>(size - 8));
      break;
  }
}

TestPacket PacketBuilder::build() const {
  std::vector<Layer> layers = layers_;
  std::size_t size = 0;
  for (std::size_t i = layers.size(); i-- > 0;) {
    size += layers[i].header.size();
    if (i + 1 < layers.size()) link_layers(layers[i], layers[i + 1]);
    set_length(layers[i], size);
  }
  TestPacket packet{.description = {}, .link = link_, .bytes = {}, .time_ns = time_ns_};
  bool network_seen = false;
  for (const Layer& layer : layers) {
    const bool network = layer.length == LengthField::kIpv4 || layer.length == LengthField::kIpv6;
    if (network && !network_seen) packet.network_offset = packet.bytes.size();
    network_seen |= network;
    packet.description += (packet.description.empty() ? "" : " ") + layer.name;
    append(packet.bytes, layer.header);
  }
  packet.wire_length = static_cast<std::uint32_t>(packet.bytes.size());
  return packet;
}

namespace {

std::vector<PacketBuilder> every_way_to_ip() {
  std::vector<PacketBuilder> ways;
  for (const LinkType link : {LinkType::kEthernet, LinkType::kRawIp, LinkType::kBsdLoopback,
                              LinkType::kLinuxCooked, LinkType::kLinuxCookedTwo}) {
    ways.emplace_back(link);
  }
  ways.push_back(PacketBuilder().vlan(7));
  ways.push_back(PacketBuilder().vlan(7, 0x88a8).vlan(8));
  ways.push_back(PacketBuilder().mpls({1, 2, 3}));
  ways.push_back(PacketBuilder().mpls({1}).pseudowire().ethernet());
  ways.push_back(PacketBuilder().vlan(7).pppoe());
  ways.push_back(PacketBuilder().llc_snap());
  ways.push_back(PacketBuilder().fabric_path().ethernet());
  const auto outer = [] { return PacketBuilder().ipv4("192.0.2.1", "192.0.2.2"); };
  ways.push_back(outer());
  ways.push_back(outer().gre({.checksum = true, .key = true, .sequence = true}));
  ways.push_back(outer().nvgre(5).ethernet());
  ways.push_back(outer().udp(999, 4789).vxlan(5).ethernet());
  ways.push_back(outer().udp(999, 6081).geneve(5, 12).ethernet());
  ways.push_back(outer().udp(2152, 2152).gtp_user(5, true, 2));
  ways.push_back(PacketBuilder().ipv6("2001:db8::1", "2001:db8::2").udp(2152, 2152).gtp_user(5));
  return ways;
}

std::vector<PacketBuilder> every_datagram(const PacketBuilder& way) {
  std::vector<PacketBuilder> builders;
  const auto four = [&](const Ipv4Fields& fields = {}) {
    return PacketBuilder(way).ipv4("10.0.0.9", "10.0.0.2", fields);
  };
  const auto six = [&] { return PacketBuilder(way).ipv6("2001:db8::9", "2001:db8::3"); };
  builders.push_back(four().tcp(40'000, 443, kTcpSyn, 12));
  builders.push_back(four({.options_size = 8}).udp(53, 40'000).payload(30));
  builders.push_back(four().sctp(5, 6).payload(16));
  builders.push_back(four().icmp(8, 0, 7).payload(56));
  builders.push_back(four().protocol(50).payload(40));
  builders.push_back(four().authentication().tcp(1, 2));
  builders.push_back(six().tcp(40'000, 443).payload(3));
  builders.push_back(six().icmpv6(128, 0, 7));
  builders.push_back(six().hop_by_hop().routing().destination_options(16).udp(1, 2).payload(9));
  builders.push_back(six().fragment(5, 0, false).udp(1, 2));
  return builders;
}

}  // namespace

std::vector<TestPacket> packets_of_every_kind() {
  std::vector<TestPacket> packets;
  for (const PacketBuilder& way : every_way_to_ip()) {
    for (const PacketBuilder& builder : every_datagram(way)) packets.push_back(builder.build());
    for (const bool four : {true, false}) {
      PacketBuilder builder = way;
      four ? builder.ipv4("10.0.0.9", "10.0.0.2") : builder.ipv6("2001:db8::9", "2001:db8::3");
      for (auto& part : fragments_of(builder.udp(7, 53).payload(150).build(), 64, 99)) {
        packets.push_back(std::move(part));
      }
    }
  }
  packets.push_back(PacketBuilder().ether_type(0x0806).payload(28).build());
  packets.push_back(PacketBuilder().ether_type(0x88cc).payload(28).build());
  packets.push_back(PacketBuilder().ether_type(38).payload(38).build());
  return packets;
}

namespace {

// Writes integers in the byte order of a capture file.
class FileWriter {
 public:
  explicit FileWriter(bool big_endian) : big_endian_(big_endian) {}

  template <typename Integer>
  void add(Integer value) {
    for (std::size_t i = 0; i < sizeof value; ++i) {
      const std::size_t place = big_endian_ ? sizeof value - 1 - i : i;
      bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * place)));
    }
  }
  void add_bytes(std::span<const std::uint8_t> bytes) { append(bytes_, bytes); }
  void pad_to_32_bits() { bytes_.resize((bytes_.size() + 3) / 4 * 4); }

  // A pcapng block: type, total length, body, total length again.
  void add_block(std::uint32_t type, FileWriter body) {
    body.pad_to_32_bits();
    const auto length = static_cast<std::uint32_t>(body.bytes_.size() + 12);
    add(type);
    add(length);
    add_bytes(body.bytes_);
    add(length);
  }
  Bytes take() { return std::move(bytes_); }

 private:
  bool big_endian_;
  Bytes bytes_;
};

std::uint32_t link_type_number(LinkType link) {
  switch (link) {
    case LinkType::kEthernet:
      return 1;
    case LinkType::kRawIp:
      return 101;
    case LinkType::kBsdLoopback:
      return 0;
    case LinkType::kLinuxCooked:
      return 113;
    case LinkType::kLinuxCookedTwo:
      return 276;
  }
  return 1;
}

std::span<const std::uint8_t> captured_part(const TestPacket& packet, const CaptureFormat& format) {
  const std::span<const std::uint8_t> bytes = packet.bytes;
  return bytes.first(std::min<std::size_t>(bytes.size(), format.snap_length));
}

void add_section_header(FileWriter& file, bool big_endian) {
  FileWriter body(big_endian);
  body.add(std::uint32_t{0x1a2b3c4d});
  body.add(std::uint16_t{1});
  body.add(std::uint16_t{0});
  body.add(~std::uint64_t{0});  // length of the section: not given
  file.add_block(0x0a0d0d0a, std::move(body));
}

void add_interface(FileWriter& file, LinkType link, const CaptureFormat& format) {
  constexpr std::uint16_t kTimeResolution = 9;
  FileWriter body(format.big_endian);
  body.add(static_cast<std::uint16_t>(link_type_number(link)));
  body.add(std::uint16_t{0});
  body.add(format.snap_length);
  body.add(kTimeResolution);
  body.add(std::uint16_t{1});
  body.add(std::uint8_t{format.nanoseconds ? std::uint8_t{9} : std::uint8_t{6}});
  body.pad_to_32_bits();
  body.add(std::uint32_t{0});  // end of options
  file.add_block(1, std::move(body));
}

void add_enhanced_packet(FileWriter& file, const TestPacket& packet, std::uint32_t interface,
                         const CaptureFormat& format) {
  const auto ticks = static_cast<std::uint64_t>(format.nanoseconds ? packet.time_ns : packet.time_ns / 1000);
  const auto captured = captured_part(packet, format);
  FileWriter body(format.big_endian);
  body.add(interface);
  body.add(static_cast<std::uint32_t>(ticks >> 32));
  body.add(static_cast<std::uint32_t>(ticks));
  body.add(static_cast<std::uint32_t>(captured.size()));
  body.add(packet.wire_length);
  body.add_bytes(captured);
  file.add_block(6, std::move(body));
}

}  // namespace

Bytes pcap_file(std::span<const TestPacket> packets, const CaptureFormat& format) {
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  const LinkType link = packets.empty() ? LinkType::kEthernet : packets.front().link;
  FileWriter file(format.big_endian);
  file.add(format.nanoseconds ? std::uint32_t{0xa1b23c4d} : std::uint32_t{0xa1b2c3d4});
  file.add(std::uint16_t{2});
  file.add(std::uint16_t{4});
  file.add(std::uint64_t{0});  // time zone and accuracy, never used
  file.add(format.snap_length);
  file.add(link_type_number(link));
  for (const TestPacket& packet : packets) {
    CHECK(packet.link == link);
    const auto captured = captured_part(packet, format);
    const std::int64_t fraction = packet.time_ns % kNanosecondsPerSecond;
    file.add(static_cast<std::uint32_t>(packet.time_ns / kNanosecondsPerSecond));
    file.add(static_cast<std::uint32_t>(format.nanoseconds ? fraction : fraction / 1000));
    file.add(static_cast<std::uint32_t>(captured.size()));
    file.add(packet.wire_length);
    file.add_bytes(captured);
  }
  return file.take();
}

Bytes pcapng_file(std::span<const TestPacket> packets, const CaptureFormat& format) {
  FileWriter file(format.big_endian);
  add_section_header(file, format.big_endian);
  std::vector<LinkType> interfaces;
  for (const TestPacket& packet : packets) {
    auto found = std::find(interfaces.begin(), interfaces.end(), packet.link);
    if (found == interfaces.end()) {
      add_interface(file, packet.link, format);
      found = interfaces.insert(interfaces.end(), packet.link);
    }
    add_enhanced_packet(file, packet, static_cast<std::uint32_t>(found - interfaces.begin()), format);
  }
  if (packets.empty()) add_interface(file, LinkType::kEthernet, format);
  return file.take();
}

void write_file(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  CHECK(file.good());
}

}  // namespace evenkeel::tests

#include "source/generator/generator_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/prefetch.h"
#include "source/generator/packet_writer.h"

namespace evenkeel::source {
namespace {

// Addresses are those set aside for benchmarks: 198.18.0.0/15 (RFC 2544) and 2001:2::/48 (RFC 5180).
constexpr std::uint32_t kServers = 4'096;
constexpr std::uint32_t kClientPortMin = 1'024;
constexpr std::uint64_t kClientPorts = 65'536 - kClientPortMin;
constexpr std::uint64_t kClients = 65'536;
// Coprime to kClients * kClientPorts (2^26 * 3^2 * 7), near its golden section: successive connections come
// from addresses far apart, and none comes again before all others were used.
constexpr std::uint64_t kClientStride = 2'612'970'541;
constexpr std::uint32_t kRequestBytesMin = 100;
constexpr std::uint32_t kRequestBytesMax = 700;

void put_host(std::array<std::uint8_t, 16>& address, bool ipv6, std::uint8_t side, std::uint32_t host) {
  const auto high = static_cast<std::uint8_t>(host >> 8);
  const auto low = static_cast<std::uint8_t>(host);
  if (ipv6) {
    address = {0x20, 0x01, 0, 2, 0, 0, 0, side, 0, 0, 0, 0, 0, 0, high, low};
  } else {
    address = {198, side, high, low};
  }
}

void put_port(std::array<std::uint8_t, 2>& port, std::uint32_t number) {
  port = {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
}

bool happens(base::Random& random, double probability) { return random.uniform() < probability; }

}  // namespace

GeneratorSource::GeneratorSource(const Profile& profile, const GeneratorOptions& options)
    : profile_(profile),
      options_(options),
      random_(options.seed),
      pool_({options.blocks, 512, 512 * kSnapBytes}, {LinkType::kEthernet, options.source}),
      groups_(profile, options.connections != 0 ? options.connections : profile.connections),
      clock_(options.packets_per_second),
      conversations_(groups_.connections()),
      next_drift_ns_(PacketClock::kStartNs + kDriftStepNs) {
  for (const Group& group : groups_.groups()) {
    for (std::uint32_t i = 0; i < group.connections; ++i) {
      begin_connection(conversations_[group.first_connection + i], *group.shape);
    }
  }
  statistics_.packets_total = options_.packets;
  for (Turn& turn : turns_) turn = choose_turn();
  next_turn();
}

std::string GeneratorSource::name() const { return fmt::format("generator:{}", profile_.name); }

ReceiveStatus GeneratorSource::receive(std::span<Packet*> out, std::size_t& count) {
  for (count = 0; count < out.size(); ++count) {
    if (options_.packets && statistics_.received >= *options_.packets) return ReceiveStatus::kEnd;
    if (!make_room()) return ReceiveStatus::kIdle;
    out[count] = make_packet();
  }
  return ReceiveStatus::kMore;
}

bool GeneratorSource::make_room() {
  if (block_ != nullptr && packets_used_ < pool_.packets_per_block()) return true;
  Block* const next = pool_.take();
  if (next == nullptr) return false;
  block_ = next;
  packets_used_ = 0;
  return true;
}

Packet* GeneratorSource::make_packet() {
  const Turn& turn = turns_[turn_];
  Conversation& conversation = conversations_[turn.connection];
  std::uint8_t* const data = block_->data.get() + packets_used_ * kSnapBytes;
  Packet& packet = block_->packets[packets_used_++];
  const Utterance utterance = advance(conversation);
  packet.wire_length = write_frame(conversation, utterance, data);
  packet.captured_length = std::min<std::uint32_t>(packet.wire_length, kSnapBytes);
  packet.data = data;
  packet.time_ns = clock_.now_ns();
  packet.sequence = statistics_.received++;
  statistics_.bytes += packet.wire_length;
  block_->ledger.hand_out(1);
  if (conversation.done()) begin_connection(conversation, *groups_[turn.group].shape);
  if (--turn_packets_left_ == 0) {
    next_turn();
  } else {
    clock_.continue_train();
  }
  return &packet;
}

GeneratorSource::Turn GeneratorSource::choose_turn() {
  const std::uint64_t bits = random_.next();
  const std::uint16_t index = groups_.draw(bits);
  const Group& group = groups_[index];
  const auto connection =
      static_cast<std::uint32_t>(group.first_connection + ((bits >> 32) * group.connections >> 32));
  // Uniform with the group's mean.
  const std::uint64_t spread = group.shape->train_packets * 2u - 1;
  const auto packets =
      static_cast<std::uint16_t>(1 + ((bits >> GroupChoice::kTicketBits & 0xffff) * spread >> 16));
  base::prefetch_to_write(&conversations_[connection]);
  return {connection, index, packets};
}

// Replaces the turn that is over with a new one, the last in the ring, and begins the next.
void GeneratorSource::next_turn() {
  wander_when_due();
  turns_[turn_] = choose_turn();
  turn_ = (turn_ + 1) % kTurnsAhead;
  turn_packets_left_ = turns_[turn_].packets;
  clock_.begin_train(random_, turn_packets_left_);
}

void GeneratorSource::wander_when_due() {
  if (profile_.drift == 0 || clock_.now_ns() < next_drift_ns_) return;
  next_drift_ns_ = clock_.now_ns() + kDriftStepNs;  // one step only after a long silence
  groups_.wander(random_, profile_.drift);
}

void GeneratorSource::begin_connection(Conversation& c, const GroupShape& shape) {
  c = Conversation{};
  c.client_sequence = static_cast<std::uint32_t>(random_.next());
  c.server_sequence = static_cast<std::uint32_t>(random_.next());
  c.identification = static_cast<std::uint16_t>(c.client_sequence >> 7);
  if (shape.half_open) {
    begin_half_open(c);
  } else {
    const bool udp = happens(random_, profile_.udp_share);
    c.traits = static_cast<std::uint8_t>((udp ? Conversation::kUdp : 0) |
                                         (happens(random_, profile_.ipv6_share) ? Conversation::kIpv6 : 0));
    c.phase = udp ? Phase::kRequest : Phase::kSyn;
    c.request_bytes =
        kRequestBytesMin + static_cast<std::uint32_t>(random_.below(kRequestBytesMax - kRequestBytesMin + 1));
    c.response_bytes = shape.sizes.draw(random_);
    if (happens(random_, profile_.upload_share)) std::swap(c.request_bytes, c.response_bytes);
    set_addresses(c);
  }
  c.address_sum = address_sum(c);
}

void GeneratorSource::set_addresses(Conversation& c) {
  const std::uint64_t place =
      (options_.seed % kClients + connections_begun_++ * kClientStride) % (kClients * kClientPorts);
  const bool ipv6 = c.is(Conversation::kIpv6);
  put_host(c.client_address, ipv6, 18, static_cast<std::uint32_t>(place / kClientPorts));
  put_port(c.client_port, static_cast<std::uint32_t>(kClientPortMin + place % kClientPorts));
  // A few servers are in great demand.
  const double u = random_.uniform();
  put_host(c.server_address, ipv6, 19, static_cast<std::uint32_t>(u * u * u * kServers));
  put_port(c.server_port, happens(random_, 0.8) ? 443 : 80);
}

// All come to one service, from anywhere: any IPv4 address, any port.
void GeneratorSource::begin_half_open(Conversation& c) {
  const std::uint64_t bits = random_.next();
  c.traits = Conversation::kHalfOpen;
  c.client_address = {static_cast<std::uint8_t>(1 + (bits & 0xff) % 223),
                      static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits >> 16),
                      static_cast<std::uint8_t>(bits >> 24)};
  put_port(c.client_port, static_cast<std::uint32_t>(kClientPortMin + (bits >> 32) % kClientPorts));
  put_host(c.server_address, false, 19, 0);
  put_port(c.server_port, 443);
}

}  // namespace evenkeel::source

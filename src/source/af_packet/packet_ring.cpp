#include "source/af_packet/packet_ring.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/net_tstamp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/units.h"

namespace evenkeel::source {
namespace {

constexpr std::uint32_t kChunks = 512;  // 32,768 packets in front of workers at most
constexpr std::uint32_t kVlanTagBytes = 4;
// The kernel's timer counts in ticks of its own, up to 10 ms each.
constexpr std::int64_t kTimerSlack_ns = 12 * base::kNanosecondsPerMillisecond;
// Unit of packet sequence, as a power of two of nanoseconds: 4 us. The low 32 bits are compared, across
// connections idle for up to 2 hours.
constexpr int kSequenceShift = 12;

Error failed(const char* what) {
  return runtime_error(fmt::format("cannot {} a packet socket: {}", what, std::strerror(errno)));
}

template <typename T>
bool set(const base::FileDescriptor& socket, int option, const T& value) {
  return setsockopt(socket.get(), SOL_PACKET, option, &value, sizeof value) == 0;
}

bool attach(const base::FileDescriptor& socket, std::span<const sock_filter> filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  return setsockopt(socket.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

bool attach_refusal(const base::FileDescriptor& socket) {
  const sock_filter nothing{BPF_RET | BPF_K, 0, 0, 0};
  return attach(socket, {&nothing, 1});
}

}  // namespace

PacketRing::PacketRing(const PacketRingOptions& options, RingCounters& counters)
    : options_(options), counters_(counters), chunks_(kChunks, options.common), blocks_(options.blocks) {}

PacketRing::~PacketRing() {
  if (memory_ != nullptr) munmap(memory_, std::size_t{options_.block_bytes} * options_.blocks);
}

Result<std::unique_ptr<PacketRing>> PacketRing::open(const PacketRingOptions& options,
                                                     RingCounters& counters) {
  std::unique_ptr<PacketRing> ring(new PacketRing(options, counters));
  // Protocol 0 receives nothing.
  ring->socket_ = base::FileDescriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!ring->socket_.valid()) return failed("open");
  ring->descriptor_ = ring->socket_.get();
  if (!set(ring->socket_, PACKET_VERSION, int{TPACKET_V3})) return failed("set the ring version of");
  // Room to put a VLAN tag back between the addresses and the rest.
  if (!set(ring->socket_, PACKET_RESERVE, static_cast<unsigned>(kVlanTagBytes))) return failed("reserve in");
  if (options.hardware_time &&
      !set(ring->socket_, PACKET_TIMESTAMP, int{SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_SOFTWARE}))
    return failed("ask for hardware time of");
  if (options.incoming_only && !set(ring->socket_, PACKET_IGNORE_OUTGOING, int{1}))
    return failed("leave outgoing packets out of");
  if (auto mapped = ring->map(); !mapped) return mapped.error();
  return ring;
}

Result<void> PacketRing::map() {
  tpacket_req3 request{};
  request.tp_block_size = options_.block_bytes;
  request.tp_block_nr = options_.blocks;
  request.tp_frame_size = options_.frame_bytes;
  request.tp_frame_nr = options_.block_bytes / options_.frame_bytes * options_.blocks;
  request.tp_retire_blk_tov = options_.hold_ms;
  if (!set(socket_, PACKET_RX_RING, request)) {
    return runtime_error(fmt::format(
        "cannot make a receive ring of {} blocks of {} bytes (frames of {}): {}; see block-size= and "
        "blocks= in docs/live.md",
        options_.blocks, options_.block_bytes, options_.frame_bytes, std::strerror(errno)));
  }
  const std::size_t bytes = std::size_t{options_.block_bytes} * options_.blocks;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, socket_.get(), 0);
  if (memory == MAP_FAILED) return failed("map the ring of");
  memory_ = static_cast<std::uint8_t*>(memory);
  return {};
}

Result<void> PacketRing::bind(int interface_index, bool promiscuous) {
  if (!attach_refusal(socket_)) return failed("filter");
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = interface_index;
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return failed("bind");
  if (!promiscuous) return {};
  // Of this socket, and so gone with it.
  packet_mreq membership{};
  membership.mr_ifindex = interface_index;
  membership.mr_type = PACKET_MR_PROMISC;
  if (!set(socket_, PACKET_ADD_MEMBERSHIP, membership)) return failed("make promiscuous");
  return {};
}

Result<std::uint16_t> PacketRing::join_group(std::uint16_t group, std::uint32_t members_max) {
  fanout_args arguments{};
  arguments.id = group;
  arguments.type_flags = PACKET_FANOUT_EBPF | (group == 0 ? PACKET_FANOUT_FLAG_UNIQUEID : 0);
  arguments.max_num_members = members_max;
  if (!set(socket_, PACKET_FANOUT, arguments)) return failed("group");
  int joined = 0;
  socklen_t size = sizeof joined;
  if (getsockopt(socket_.get(), SOL_PACKET, PACKET_FANOUT, &joined, &size) != 0) return failed("group");
  return static_cast<std::uint16_t>(joined & 0xffff);
}

Result<void> PacketRing::set_group_program(int program) {
  if (!set(socket_, PACKET_FANOUT_DATA, program)) return failed("set the program of");
  return {};
}

Result<void> PacketRing::admit(const PacketFilter& filter) {
  filter_ = filter;
  std::vector<sock_filter> program;
  // In a group of sockets the kernel does not look at PACKET_IGNORE_OUTGOING of one.
  if (options_.incoming_only) {
    program.push_back(
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PKTTYPE)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, 0));
  }
  program.insert(program.end(), filter.for_kernel().begin(), filter.for_kernel().end());
  if (!attach(socket_, program)) return failed("filter");
  return {};
}

void PacketRing::refuse_more() { (void)attach_refusal(socket_); }

std::int64_t PacketRing::delay_max_ns() const {
  return options_.hold_ms * base::kNanosecondsPerMillisecond + kTimerSlack_ns;
}

tpacket_block_desc* PacketRing::block_at(std::uint32_t index) const {
  return reinterpret_cast<tpacket_block_desc*>(memory_ + std::size_t{index} * options_.block_bytes);
}

// Acquire: the packets were written before the kernel handed the block over.
bool PacketRing::is_ready(std::uint32_t index) const {
  const std::uint32_t status =
      std::atomic_ref(block_at(index)->hdr.bh1.block_status).load(std::memory_order_acquire);
  return !blocks_[index].held && (status & TP_STATUS_USER) != 0;
}

bool PacketRing::open_block() {
  sweep();
  if (!is_ready(next_)) return false;
  const tpacket_hdr_v1& header = block_at(next_)->hdr.bh1;
  left_in_block_ = packets_of_block_ = header.num_pkts;
  cursor_ = reinterpret_cast<std::uint8_t*>(block_at(next_)) + header.offset_to_first_pkt;
  blocks_[next_] = {.chunks = 0, .held = true};
  next_ = next_ + 1 == options_.blocks ? 0 : next_ + 1;
  read_statistics();
  if (left_in_block_ == 0) close_block();
  return true;
}

// All of the block's packets are handed out; its chunks come back later.
void PacketRing::close_block() {
  close_chunk();
  cursor_ = nullptr;
  const std::uint32_t index = (next_ == 0 ? options_.blocks : next_) - 1;
  if (blocks_[index].chunks == 0) give_back(index);
}

bool PacketRing::open_chunk() {
  close_chunk();
  sweep();
  chunk_ = chunks_.take();
  if (chunk_ == nullptr) return false;
  chunk_->owner = (next_ == 0 ? options_.blocks : next_) - 1;
  ++blocks_[chunk_->owner].chunks;
  return true;
}

void PacketRing::close_chunk() {
  if (chunk_ != nullptr) chunks_.close(std::exchange(chunk_, nullptr));
}

void PacketRing::sweep() {
  chunks_.sweep([this](const DescriptorChunk& chunk) {
    const std::uint32_t index = chunk.owner;
    const bool being_read = cursor_ != nullptr && (index + 1 == options_.blocks ? 0 : index + 1) == next_;
    if (--blocks_[index].chunks == 0 && !being_read) give_back(index);
  });
}

// Release: all reads of the packets happen before the kernel writes again.
void PacketRing::give_back(std::uint32_t index) {
  blocks_[index].held = false;
  std::atomic_ref(block_at(index)->hdr.bh1.block_status).store(TP_STATUS_KERNEL, std::memory_order_release);
}

std::size_t PacketRing::receive(std::span<Packet*> out) {
  std::size_t count = 0;
  while (count < out.size()) {
    if (cursor_ == nullptr && !open_block()) break;
    if (cursor_ == nullptr) continue;
    if ((chunk_ == nullptr || chunk_->room().empty()) && !open_chunk()) {
      if (!discard_to_fence()) break;
    } else {
      count += walk(out.subspan(count));
    }
    if (left_in_block_ == 0) close_block();
  }
  return count;
}

// All descriptors are lent out. Those of packets that wait for buckets on their way to this worker come back
// when these have arrived, for which another worker may wait until this ring is read up to its fence: so that
// must go on, at the price of packets. Returns whether there were any.
bool PacketRing::discard_to_fence() {
  const std::uint64_t before = taken_;
  for (; taken_ < fence_ && left_in_block_ != 0; ++taken_, --left_in_block_)
    cursor_ += reinterpret_cast<const tpacket3_hdr*>(cursor_)->tp_next_offset;
  counters_.kernel_drops.add(taken_ - before);
  return taken_ != before;
}

// Hands out packets of the open block, as far as the open chunk and `out` reach.
std::size_t PacketRing::walk(std::span<Packet*> out) {
  const std::span<Packet> room = chunk_->room();
  const std::size_t most = std::min(out.size(), room.size());
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  while (count < most && left_in_block_ != 0) {
    auto& header = *reinterpret_cast<tpacket3_hdr*>(cursor_);
    Packet& packet = room[count];
    const bool passes = describe(header, packet);
    cursor_ += header.tp_next_offset;
    --left_in_block_;
    ++taken_;
    if (!passes) continue;
    bytes += packet.wire_length;
    out[count++] = &packet;
  }
  chunk_->used += static_cast<std::uint32_t>(count);
  chunk_->ledger.hand_out(static_cast<std::uint32_t>(count));
  counters_.packets.add(count);
  counters_.bytes.add(bytes);
  return count;
}

// Puts the tag that the kernel took off back behind the addresses.
void restore_tag(const tpacket3_hdr& header, Packet& packet) {
  auto* const frame = const_cast<std::uint8_t*>(packet.data) - kVlanTagBytes;
  std::memmove(frame, packet.data, 12);
  const bool named = (header.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
  const std::uint16_t tag[2] = {htons(named ? header.hv1.tp_vlan_tpid : std::uint16_t{ETH_P_8021Q}),
                                htons(static_cast<std::uint16_t>(header.hv1.tp_vlan_tci))};
  std::memcpy(frame + 12, tag, sizeof tag);
  packet.data = frame;
  packet.captured_length += kVlanTagBytes;
  packet.wire_length += kVlanTagBytes;
}

// Within a ring the sequence follows the ring, so that clocks of two CPUs that differ by a little are no
// violation of order; between rings it is the kernel's time.
bool PacketRing::describe(const tpacket3_hdr& header, Packet& packet) {
  packet.data = reinterpret_cast<const std::uint8_t*>(&header) + header.tp_mac;
  packet.captured_length = header.tp_snaplen;
  packet.wire_length = std::max(header.tp_len, header.tp_snaplen);
  packet.time_ns = header.tp_sec * base::kNanosecondsPerSecond + header.tp_nsec;
  sequence_ = std::max(sequence_, static_cast<std::uint64_t>(packet.time_ns) >> kSequenceShift);
  packet.sequence = sequence_;
  if ((header.tp_status & TP_STATUS_VLAN_VALID) == 0) [[likely]]
    return true;
  if (packet.captured_length >= 12 && packet.link == LinkType::kEthernet) restore_tag(header, packet);
  return filter_.matches(packet);
}

void PacketRing::begin_fence() {
  read_statistics();
  fence_ = arrived_;
}

// Reading them sets the kernel's to zero.
void PacketRing::read_statistics() {
  tpacket_stats_v3 statistics{};
  socklen_t size = sizeof statistics;
  if (getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size) != 0) return;
  arrived_ += statistics.tp_packets - statistics.tp_drops;
  counters_.kernel_drops.add(statistics.tp_drops);
}

// Blocks ahead are counted as the last one that was opened.
bool PacketRing::backlogged(std::size_t packets) const {
  const std::size_t blocks = packets / std::max<std::uint32_t>(packets_of_block_, 1);
  const auto ahead = static_cast<std::uint32_t>(std::min<std::size_t>(blocks, options_.blocks / 4 * 3));
  return is_ready((next_ + ahead) % options_.blocks);
}

void PacketRing::tidy() {
  sweep();
  read_statistics();
}

bool PacketRing::all_released() {
  if (cursor_ == nullptr) close_chunk();
  sweep();
  return cursor_ == nullptr && chunks_.all_back();
}

}  // namespace evenkeel::source

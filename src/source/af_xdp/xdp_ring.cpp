#include "source/af_xdp/xdp_ring.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/units.h"
#include "bpf/constants.h"
#include "source/live/clock_offset.h"

namespace evenkeel::source {
namespace {

constexpr int kXdpLevel = 283;  // SOL_XDP
constexpr std::uint32_t kChunks = 512;
constexpr std::size_t kReturnBatch = 64;
// A stamp older than this is not one: the driver left no room for it, and something else stands there.
constexpr std::int64_t kStampAgeMax_ns = 10 * base::kNanosecondsPerSecond;
constexpr std::int64_t kDelayMax_ns = 2 * base::kNanosecondsPerMillisecond;
constexpr int kSequenceShift = 12;  // as of packet sockets

std::int64_t now_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * base::kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace

XdpSocket::~XdpSocket() {
  if (ring_ != nullptr) munmap(ring_, ring_bytes_);
}

Result<std::unique_ptr<XdpSocket>> XdpSocket::open(const XdpPlace& place, std::uint32_t ring_size) {
  std::unique_ptr<XdpSocket> socket(new XdpSocket());
  socket->area_ = place.area;
  socket->socket_ = base::FileDescriptor(::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!socket->socket_.valid())
    return runtime_error(fmt::format("cannot open an AF_XDP socket: {}", std::strerror(errno)));
  const bool first = place.first_socket < 0;
  if (first) {
    if (auto given = place.area->give_to(socket->descriptor()); !given) return given.error();
  }
  if (auto mapped = socket->map_ring(ring_size); !mapped) return mapped.error();
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = static_cast<std::uint32_t>(place.interface_index);
  address.sxdp_queue_id = place.queue;
  address.sxdp_flags =
      static_cast<std::uint16_t>(first ? (place.zero_copy ? XDP_ZEROCOPY : XDP_COPY) : XDP_SHARED_UMEM);
  address.sxdp_shared_umem_fd = first ? 0 : static_cast<std::uint32_t>(place.first_socket);
  if (bind(socket->descriptor(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return runtime_error(fmt::format("cannot bind an AF_XDP socket to queue {}: {}{}", place.queue,
                                     std::strerror(errno),
                                     errno == EBUSY ? " (another program has this queue)" : ""));
  }
  return socket;
}

Result<void> XdpSocket::map_ring(std::uint32_t size) {
  size_ = size;
  const int entries = static_cast<int>(size);
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (setsockopt(descriptor(), kXdpLevel, XDP_RX_RING, &entries, sizeof entries) != 0 ||
      getsockopt(descriptor(), kXdpLevel, XDP_MMAP_OFFSETS, &offsets, &length) != 0)
    return runtime_error(fmt::format("cannot size an AF_XDP ring: {}", std::strerror(errno)));
  ring_bytes_ = offsets.rx.desc + std::size_t{size} * sizeof(xdp_desc);
  void* const ring = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                          descriptor(), XDP_PGOFF_RX_RING);
  if (ring == MAP_FAILED)
    return runtime_error(fmt::format("cannot map an AF_XDP ring: {}", std::strerror(errno)));
  ring_ = ring;
  auto* const base = static_cast<std::uint8_t*>(ring);
  producer_ = reinterpret_cast<std::uint32_t*>(base + offsets.rx.producer);
  consumer_ = reinterpret_cast<std::uint32_t*>(base + offsets.rx.consumer);
  entries_ = reinterpret_cast<xdp_desc*>(base + offsets.rx.desc);
  return {};
}

// Acquire: entries and packets were written before.
std::uint32_t XdpSocket::arrived() const {
  return std::atomic_ref(*producer_).load(std::memory_order_acquire);
}

std::uint32_t XdpSocket::waiting(std::uint32_t most) {
  if (known_ - taken_ < most) known_ = arrived();
  return std::min(most, known_ - taken_);
}

// Release: the entries were read before the kernel writes there again.
void XdpSocket::take(std::uint32_t count) {
  taken_ += count;
  std::atomic_ref(*consumer_).store(taken_, std::memory_order_release);
}

std::uint64_t XdpSocket::dropped() const {
  xdp_statistics statistics{};
  socklen_t length = sizeof statistics;
  if (getsockopt(descriptor(), kXdpLevel, XDP_STATISTICS, &statistics, &length) != 0) return 0;
  return statistics.rx_dropped + statistics.rx_ring_full;
}

bool XdpSocket::zero_copy() const {
  xdp_options options{};
  socklen_t length = sizeof options;
  return getsockopt(descriptor(), kXdpLevel, XDP_OPTIONS, &options, &length) == 0 &&
         (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

XdpRing::XdpRing(std::vector<std::unique_ptr<XdpSocket>> sockets, const DescriptorChunks::Common& common,
                 const PacketFilter& filter, RingCounters& counters, std::function<void()> refuse)
    : counters_(counters), filter_(filter), refuse_(std::move(refuse)), chunks_(kChunks, common) {
  for (auto& socket : sockets) {
    descriptors_.push_back(socket->descriptor());
    queues_.push_back({.socket = std::move(socket), .chunk = nullptr, .returns = {}, .fence = 0});
  }
  look_at_clocks();
}

void XdpRing::look_at_clocks() {
  monotonic_ns_ = now_ns(CLOCK_MONOTONIC);
  real_less_monotonic_ns_ =
      clock_offset_ns([] { return now_ns(CLOCK_REALTIME); }, [] { return now_ns(CLOCK_MONOTONIC); });
}

std::size_t XdpRing::receive(std::span<Packet*> out) {
  std::size_t count = 0;
  monotonic_ns_ = now_ns(CLOCK_MONOTONIC);
  const auto queues = static_cast<std::uint32_t>(queues_.size());
  for (std::uint32_t i = 0; i < queues && count < out.size(); ++i) {
    const std::uint32_t number = (turn_ + i) % queues;
    Queue& queue = queues_[number];
    while (count < out.size() && queue.socket->waiting(1) != 0) {
      if ((queue.chunk == nullptr || queue.chunk->room().empty()) && !open_chunk(number)) {
        if (discard_to_fence(queue) == 0) return count;
      } else {
        count += walk(queue, out.subspan(count));
      }
    }
  }
  turn_ = turn_ + 1 == queues ? 0 : turn_ + 1;
  return count;
}

// Hands out what waits in a queue, as far as the open chunk and `out` reach. What the filter refuses keeps
// its place in the chunk's list of frames only: its frame goes back at once.
std::size_t XdpRing::walk(Queue& queue, std::span<Packet*> out) {
  const std::span<Packet> room = queue.chunk->room();
  const auto most = static_cast<std::uint32_t>(std::min(out.size(), room.size()));
  const std::uint32_t waiting = queue.socket->waiting(most);
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < waiting; ++i) {
    Packet& packet = room[count];
    describe(queue, queue.socket->at(i), packet);
    if (!filter_.matches(packet)) {
      queue.returns.push_back(queue.socket->area().frame_of(packet.data));
      continue;
    }
    bytes += packet.wire_length;
    out[count++] = &packet;
  }
  queue.socket->take(waiting);
  queue.chunk->used += static_cast<std::uint32_t>(count);
  queue.chunk->ledger.hand_out(static_cast<std::uint32_t>(count));
  counters_.packets.add(count);
  counters_.bytes.add(bytes);
  return count;
}

// All descriptors are lent out. Those of packets that wait for buckets on their way to this worker come back
// when these have arrived, for which another worker may wait until this ring is read up to its fence: so that
// must go on, at the price of packets. Returns how many.
std::uint32_t XdpRing::discard_to_fence(Queue& queue) {
  const auto behind = static_cast<std::int32_t>(queue.fence - queue.socket->taken());
  if (behind <= 0) return 0;
  const std::uint32_t count = queue.socket->waiting(static_cast<std::uint32_t>(behind));
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint8_t* const data = queue.socket->area().at(queue.socket->at(i).addr);
    queue.returns.push_back(queue.socket->area().frame_of(data));
  }
  queue.socket->take(count);
  counters_.kernel_drops.add(count);
  return count;
}

void XdpRing::describe(const Queue& queue, const xdp_desc& entry, Packet& packet) {
  packet.data = queue.socket->area().at(entry.addr);
  packet.captured_length = packet.wire_length = entry.len;
  evenkeel_frame_stamp stamp;
  std::memcpy(&stamp, packet.data - sizeof stamp, sizeof stamp);
  const auto stamped_ns = static_cast<std::int64_t>(stamp.time_ns);
  // The clock was read before the ring: a packet may be younger.
  const bool believed =
      stamped_ns > monotonic_ns_ - kStampAgeMax_ns && stamped_ns < monotonic_ns_ + kStampAgeMax_ns;
  packet.time_ns = (believed ? stamped_ns : monotonic_ns_) + real_less_monotonic_ns_;
  // The witness of order goes by the kernel's own stamps, which all rings have of one clock; a packet without
  // one keeps the place in its ring.
  if (believed) sequence_ = std::max(sequence_, std::uint64_t{stamp.time_ns} >> kSequenceShift);
  packet.sequence = sequence_;
}

bool XdpRing::open_chunk(std::uint32_t number) {
  close_chunk(queues_[number]);
  sweep();
  DescriptorChunk* const chunk = chunks_.take();
  if (chunk == nullptr) return false;
  chunk->owner = number;
  queues_[number].chunk = chunk;
  return true;
}

void XdpRing::close_chunk(Queue& queue) {
  if (queue.chunk != nullptr) chunks_.close(std::exchange(queue.chunk, nullptr));
}

void XdpRing::sweep() {
  chunks_.sweep([this](const DescriptorChunk& chunk) {
    Queue& queue = queues_[chunk.owner];
    for (std::uint32_t i = 0; i < chunk.used; ++i)
      queue.returns.push_back(queue.socket->area().frame_of(chunk.packets[i].data));
  });
  for (Queue& queue : queues_) {
    if (queue.returns.size() >= kReturnBatch) queue.socket->area().give_back(queue.returns);
  }
}

void XdpRing::begin_fence() {
  for (Queue& queue : queues_) queue.fence = queue.socket->arrived();
}

// Signed difference: right also when the counts wrap around.
bool XdpRing::fence_passed() const {
  return std::all_of(queues_.begin(), queues_.end(), [](const Queue& queue) {
    return static_cast<std::int32_t>(queue.socket->taken() - queue.fence) >= 0;
  });
}

bool XdpRing::backlogged(std::size_t packets) const {
  return std::any_of(queues_.begin(), queues_.end(), [packets](const Queue& queue) {
    const std::size_t most = std::min<std::size_t>(packets, queue.socket->size() / 4 * 3);
    return queue.socket->arrived() - queue.socket->taken() > most;
  });
}

void XdpRing::read_drops() {
  std::uint64_t drops = 0;
  for (const Queue& queue : queues_) drops += queue.socket->dropped();
  counters_.kernel_drops.add(drops - std::exchange(drops_, drops));
}

void XdpRing::tidy() {
  for (Queue& queue : queues_) {
    if (queue.chunk != nullptr && queue.chunk->used != 0) close_chunk(queue);
  }
  sweep();
  for (Queue& queue : queues_) queue.socket->area().give_back(queue.returns);
  look_at_clocks();
  read_drops();
}

bool XdpRing::all_released() {
  tidy();
  return chunks_.all_back();
}

std::int64_t XdpRing::delay_max_ns() const { return kDelayMax_ns; }

}  // namespace evenkeel::source

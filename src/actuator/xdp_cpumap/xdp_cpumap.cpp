#include "actuator/xdp_cpumap/xdp_cpumap.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>

#include "base/units.h"

namespace evenkeel::actuator {
namespace {

constexpr auto kSettlePause = std::chrono::milliseconds(2);

std::int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * base::kNanosecondsPerSecond + now.tv_nsec;
}

// What is known of one target CPU at the end of an interval.
struct Target {
  std::uint32_t cpu = 0;
  int thread = 0;
  std::uint64_t run_time_ns = 0;
  evenkeel_target_count count{};
  // Lost packets are written off when the queue has turned over since, or is empty.
  struct WriteOff {
    bool begun = false;
    std::int64_t begun_ns = 0;
    std::uint64_t arrived = 0;
    std::uint64_t lost = 0;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> sent;  // bucket, count
  } write_off;
  std::uint64_t lost_written_off = 0;

  std::uint64_t lost() const { return count.queue_drops + count.refused; }
  std::uint64_t in_flight() const {
    const std::uint64_t out = count.arrived + lost();
    return count.sent > out ? count.sent - out : 0;
  }
};

// What the kernel program knows of delivery (src/bpf/steer.bpf.c), from this side.
class ThreadDelivery final : public Delivery {
 public:
  ThreadDelivery(const KernelSide& kernel, const std::vector<Target>& targets)
      : kernel_(kernel), targets_(targets) {}

  bool delivered(std::uint64_t stamp) override {
    const auto cpu = static_cast<std::uint32_t>(stamp & kTargetMask);
    const auto target =
        std::find_if(targets_.begin(), targets_.end(), [cpu](const Target& t) { return t.cpu == cpu; });
    if (target == targets_.end() || !kernel_.proves_delivery()) return true;  // the silence must do
    const std::uint64_t own = stamp >> kStampCpuBits;
    const std::uint64_t batches = __atomic_load_n(&kernel_.progress()[cpu].batches, __ATOMIC_SEQ_CST);
    const std::uint32_t until_delivered = kernel_.batches_until_delivered();
    if (until_delivered != 0 && batches >= own + until_delivered) return true;
    return target->thread == 0 || meter::is_asleep(target->thread);
  }

 private:
  const KernelSide& kernel_;
  const std::vector<Target>& targets_;
};

class XdpCpumap final : public Steering {
 public:
  XdpCpumap(const XdpCpumapOptions& options, KernelSide kernel)
      : options_(options),
        kernel_(std::move(kernel)),
        delivery_(kernel_, targets_),
        moves_(kernel_.states(), kernel_.arrivals(), delivery_, options.moves),
        sent_(options.kernel.buckets),
        bytes_(options.kernel.buckets) {
    for (const std::uint32_t cpu : options.kernel.cpus) {
      targets_.push_back({.cpu = cpu, .thread = kernel_.thread_of(cpu), .count = {}, .write_off = {}});
      names_.push_back(fmt::format("cpu {}", cpu));
    }
  }

  ~XdpCpumap() override { kernel_.detach(); }

  std::string_view name() const override { return "xdp_cpumap"; }
  std::size_t buckets() const override { return options_.kernel.buckets; }
  std::span<const std::string> processors() const override { return names_; }
  std::size_t pending() const override { return moves_.pending(); }

  Result<void> start() override;
  Result<void> measure(Measurement& measurement) override;
  Result<void> apply(std::span<const Move> moves) override;
  Result<void> settle() override;
  Result<void> withdraw() override {
    moves_.withdraw_all();
    return {};
  }
  Result<SteeringTotals> totals() override;
  Result<void> stop(const std::function<bool()>& may_wait) override;
  std::vector<std::string> notes() const override;

 private:
  ProcessorId processor_of(std::uint32_t target) const;
  Result<void> read_targets();
  Result<void> bring_home(BucketMoves& home, const std::function<bool()>& may_wait);
  Result<void> drain();
  void share_out_load(const std::vector<double>& weight, const std::vector<double>& weight_of_processor,
                      Measurement& measurement) const;
  Result<void> measure_buckets(Measurement& measurement, std::vector<double>& weight);
  Result<void> measure_processors(Measurement& measurement);
  Result<std::uint64_t> passed_by() const;
  void write_off_lost(Target& target, std::int64_t now_ns);
  void begin_write_off(Target& target, std::int64_t now_ns);

  XdpCpumapOptions options_;
  KernelSide kernel_;
  std::vector<Target> targets_;
  ThreadDelivery delivery_;
  BucketMoves moves_;
  BucketMovesCounts home_;  // of the moves that ended steering
  std::vector<std::string> names_;
  std::vector<std::uint32_t> sent_;  // of each bucket at the last measurement
  std::vector<std::uint64_t> bytes_;
  std::vector<double> weight_;
  std::vector<double> capacity_;  // smoothed
  std::uint64_t packets_ = 0;     // steered buckets' packets since the start
  std::uint64_t all_bytes_ = 0;
  std::uint64_t passed_by_ = 0;
  meter::CpuTimes cpu_times_;
  std::int64_t measured_ns_ = 0;
};

ProcessorId XdpCpumap::processor_of(std::uint32_t target) const {
  for (std::uint32_t i = 0; i < targets_.size(); ++i) {
    if (targets_[i].cpu == target) return ProcessorId(i);
  }
  return ProcessorId(0);
}

Result<void> XdpCpumap::start() {
  std::vector<ProcessorId> owner(buckets());
  if (auto dealt = assign_by_capacity(std::vector<double>(targets_.size(), 1.0), owner); !dealt) return dealt;
  for (std::uint32_t bucket = 0; bucket < owner.size(); ++bucket) {
    moves_.place(bucket, targets_[owner[bucket].value()].cpu);
  }
  capacity_.assign(targets_.size(), 1.0);
  cpu_times_ = meter::read_cpu_times();
  measured_ns_ = monotonic_ns();
  if (auto read = read_targets(); !read) return read;
  return kernel_.attach(options_.interface_index, options_.mode);
}

Result<void> XdpCpumap::read_targets() {
  for (Target& target : targets_) {
    auto count = kernel_.target_count(target.cpu);
    if (!count) return count.error();
    target.count = *count;
    // In generic mode the kernel reports a full queue twice, as a drop and as a refusal.
    if (options_.mode == XdpMode::kGeneric) target.count.refused = 0;
    // Where the thread is not visible (another PID namespace), each of its packets counts alike.
    constexpr std::uint64_t kGuessPerPacket_ns = 1'000;
    target.run_time_ns = target.thread != 0
                             ? meter::read_run_time_ns(target.thread).value_or(target.run_time_ns)
                             : target.count.arrived * kGuessPerPacket_ns;
  }
  return {};
}

Result<std::uint64_t> XdpCpumap::passed_by() const {
  std::uint64_t sum = 0;
  for (const auto which : {kSteerUnclassified, kSteerMalformed, kSteerNoQueue}) {
    auto value = kernel_.counter(which);
    if (!value) return value.error();
    sum += *value;
  }
  return sum;
}

// Demand: what was sent to each bucket's processor, lost packets included.
Result<void> XdpCpumap::measure_buckets(Measurement& measurement, std::vector<double>& weight) {
  weight.resize(buckets());
  measurement.owner.resize(buckets());
  measurement.packets = measurement.bytes = 0;
  for (std::uint32_t bucket = 0; bucket < buckets(); ++bucket) {
    const std::uint32_t sent = moves_.sent(bucket);
    const std::uint64_t bytes = __atomic_load_n(&kernel_.states()[bucket].bytes, __ATOMIC_RELAXED);
    const std::uint32_t packets = sent - sent_[bucket];
    weight[bucket] = packets + static_cast<double>(bytes - bytes_[bucket]) / kBytesLikeOnePacket;
    measurement.packets += packets;
    measurement.bytes += bytes - bytes_[bucket];
    measurement.owner[bucket] = processor_of(moves_.target(bucket));
    sent_[bucket] = sent;
    bytes_[bucket] = bytes;
  }
  packets_ += measurement.packets;
  all_bytes_ += measurement.bytes;
  auto passed = passed_by();
  if (!passed) return passed.error();
  measurement.passed_by = *passed - passed_by_;
  measurement.packets += measurement.passed_by;
  passed_by_ = *passed;
  return {};
}

// Times of /proc/stat come in ticks of 10 ms: capacity is smoothed over about ten intervals.
Result<void> XdpCpumap::measure_processors(Measurement& measurement) {
  constexpr double kSmoothing = 0.1;
  const std::size_t processors = targets_.size();
  measurement.usage.assign(processors, 0);
  measurement.backlog.assign(processors, 0);
  measurement.drops = 0;
  const std::vector<Target> before = targets_;
  if (auto read = read_targets(); !read) return read;
  meter::CpuTimes times = meter::read_cpu_times();
  for (std::size_t i = 0; i < processors; ++i) {
    const Target& now = targets_[i];
    const double own = static_cast<double>(now.run_time_ns - before[i].run_time_ns) * 1e-9;
    const bool online =
        now.cpu < times.size() && times[now.cpu] && now.cpu < cpu_times_.size() && cpu_times_[now.cpu];
    const double capacity =
        online ? meter::capacity_beside_others(*cpu_times_[now.cpu], *times[now.cpu], own) : 0.1;
    capacity_[i] += (capacity - capacity_[i]) * kSmoothing;
    capacity_[i] = std::clamp(std::max(capacity_[i], own / measurement.seconds), 0.1, 1.0);
    measurement.usage[i] = std::min(1.0, own / measurement.seconds / capacity_[i]);
    const std::uint64_t arrived = now.count.arrived - before[i].count.arrived;
    const std::uint64_t lost = now.lost() - before[i].lost();
    if (arrived > 0) {
      measurement.backlog[i] = static_cast<double>(now.in_flight() + lost) * own / measurement.seconds /
                               static_cast<double>(arrived);
    }
    measurement.drops += lost;
  }
  measurement.capacity = capacity_;
  cpu_times_ = std::move(times);
  std::vector<std::uint32_t> overloaded;
  for (std::size_t i = 0; i < processors; ++i) {
    if (is_overloaded(measurement, i)) overloaded.push_back(targets_[i].cpu);
  }
  moves_.note_overloaded(std::move(overloaded));
  return {};
}

// A processor's busy time belongs to its buckets by their demand.
void XdpCpumap::share_out_load(const std::vector<double>& weight,
                               const std::vector<double>& weight_of_processor,
                               Measurement& measurement) const {
  measurement.bucket_load.resize(weight.size());
  for (std::size_t bucket = 0; bucket < weight.size(); ++bucket) {
    const std::uint32_t i = measurement.owner[bucket].value();
    const double busy = measurement.usage[i] * measurement.capacity[i];
    measurement.bucket_load[bucket] =
        weight_of_processor[i] > 0 ? busy * weight[bucket] / weight_of_processor[i] : 0;
  }
}

Result<void> XdpCpumap::measure(Measurement& measurement) {
  const std::int64_t now = monotonic_ns();
  measurement.seconds = static_cast<double>(std::max<std::int64_t>(now - measured_ns_, 1)) * 1e-9;
  measured_ns_ = now;
  if (auto measured = measure_buckets(measurement, weight_); !measured) return measured;
  if (auto measured = measure_processors(measurement); !measured) return measured;
  std::vector<double> weight_of_processor(targets_.size());
  for (std::size_t bucket = 0; bucket < weight_.size(); ++bucket) {
    weight_of_processor[measurement.owner[bucket].value()] += weight_[bucket];
  }
  share_out_load(weight_, weight_of_processor, measurement);
  for (Target& target : targets_) write_off_lost(target, now);
  return {};
}

Result<void> XdpCpumap::apply(std::span<const Move> moves) {
  const std::int64_t now = monotonic_ns();
  for (const Move& move : moves) moves_.want(move.bucket.value(), targets_[move.to.value()].cpu, now);
  return settle();
}

Result<void> XdpCpumap::settle() {
  moves_.settle(monotonic_ns());
  return {};
}

void XdpCpumap::begin_write_off(Target& target, std::int64_t now_ns) {
  Target::WriteOff& open = target.write_off;
  open = {
      .begun = true, .begun_ns = now_ns, .arrived = target.count.arrived, .lost = target.lost(), .sent = {}};
  for (std::uint32_t bucket = 0; bucket < buckets(); ++bucket) {
    if (moves_.target(bucket) == target.cpu) open.sent.emplace_back(bucket, moves_.sent(bucket));
  }
}

// A packet that the full queue refused is counted as sent and never arrives. Which ones these were, the
// kernel does not say; but when as many packets have arrived as the queue holds since the counts were read
// (and the receiving CPUs' own small queues were flushed, which happens at the end of each round of theirs),
// or when nothing at all is on its way, then what is still missing of those counts is lost.
void XdpCpumap::write_off_lost(Target& target, std::int64_t now_ns) {
  constexpr std::uint64_t kSmallQueues = 1'024;
  constexpr std::int64_t kFlushed_ns = 20 * base::kNanosecondsPerMillisecond;
  Target::WriteOff& open = target.write_off;
  if (!open.begun) {
    if (target.lost() != target.lost_written_off) begin_write_off(target, now_ns);
    return;
  }
  const bool turned_over = target.count.arrived - open.arrived >= options_.kernel.queue_size + kSmallQueues;
  const bool empty = target.count.sent == target.count.arrived + target.lost();
  if (now_ns - open.begun_ns < kFlushed_ns || (!turned_over && !empty)) return;
  for (const auto& [bucket, sent] : open.sent) moves_.write_off(bucket, sent);
  target.lost_written_off = open.lost;
  open.begun = false;
}

Result<SteeringTotals> XdpCpumap::totals() {
  if (auto read = read_targets(); !read) return read.error();
  auto passed = passed_by();
  if (!passed) return passed.error();
  SteeringTotals totals;
  totals.bytes = all_bytes_;
  totals.passed_by = *passed;
  for (const Target& target : targets_) {
    totals.steered += target.count.sent;
    totals.arrived += target.count.arrived;
    totals.drops += target.lost();
    totals.in_flight += target.in_flight();
  }
  const BucketMovesCounts& counts = moves_.counts();
  totals.packets = totals.steered + totals.passed_by;
  totals.moves_wanted = counts.wanted;
  totals.moves_done = counts.done;
  totals.moves_forced = counts.forced;
  totals.moves_withdrawn = counts.withdrawn;
  totals.end_forced = home_.forced;
  totals.reorder_risk = counts.reorder_risk + home_.reorder_risk;
  return totals;
}

// Every bucket goes back to the receiving CPU as any other move would, so that the end does not reorder
// either; what may not be waited for is forced, and counted.
Result<void> XdpCpumap::stop(const std::function<bool()>& may_wait) {
  if (!kernel_.attached()) return {};
  moves_.withdraw_all();
  BucketMoves home(kernel_.states(), kernel_.arrivals(), delivery_,
                   {.order = MoveOrder::kStrict, .silence_ns = options_.moves.silence_ns});
  Result<void> done = bring_home(home, may_wait);
  home.force_all();
  home_ = home.counts();
  if (done) done = drain();
  kernel_.detach();
  return done;
}

// A bucket that lost packets goes when these are written off.
Result<void> XdpCpumap::bring_home(BucketMoves& home, const std::function<bool()>& may_wait) {
  for (std::uint32_t bucket = 0; bucket < buckets(); ++bucket)
    home.want(bucket, kTargetInline, monotonic_ns());
  while (home.pending() > 0 && may_wait()) {
    std::this_thread::sleep_for(kSettlePause);
    if (auto read = read_targets(); !read) return read;
    for (Target& target : targets_) write_off_lost(target, monotonic_ns());
    home.settle(monotonic_ns());
  }
  return {};
}

// Nothing is sent to the CPUs any more: what they still have is handed on, so that the counts close.
Result<void> XdpCpumap::drain() {
  constexpr std::int64_t kDrainMax_ns = 500 * base::kNanosecondsPerMillisecond;
  const std::int64_t end = monotonic_ns() + kDrainMax_ns;
  const auto has_work = [](const Target& target) { return target.in_flight() > 0; };
  if (auto read = read_targets(); !read) return read;
  while (std::any_of(targets_.begin(), targets_.end(), has_work) && monotonic_ns() < end) {
    std::this_thread::sleep_for(kSettlePause);
    if (auto read = read_targets(); !read) return read;
  }
  return {};
}

std::vector<std::string> XdpCpumap::notes() const {
  std::vector<std::string> notes;
  notes.push_back(fmt::format("XDP mode: {}", options_.mode == XdpMode::kNative ? "native" : "generic"));
  const bool metered =
      std::all_of(targets_.begin(), targets_.end(), [](const Target& t) { return t.thread != 0; });
  notes.push_back(metered ? "load: run time of the kernel's cpumap threads (schedstat), by packets and bytes"
                          : "load: packets and bytes only: the kernel's cpumap threads are not visible here");
  if (!kernel_.proves_delivery()) notes.push_back("the kernel lacks tracepoints: drops are not counted");
  return notes;
}

}  // namespace

Result<std::unique_ptr<Steering>> make_xdp_cpumap(const XdpCpumapOptions& options) {
  auto kernel = KernelSide::load(options.kernel);
  if (!kernel) return kernel.error();
  return std::unique_ptr<Steering>(std::make_unique<XdpCpumap>(options, std::move(*kernel)));
}

}  // namespace evenkeel::actuator

#include "actuator/nic_table/nic_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "actuator/nic_table/card.h"
#include "actuator/observer.h"
#include "meter/cpu_time.h"

namespace evenkeel::actuator {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kGuessPerPacket_seconds = 1e-6;  // where no CPU time was seen to be spent
constexpr auto kSilence = std::chrono::milliseconds(5);
constexpr std::uint64_t kJudgedMin = 2'000;  // packets, before the effect of a table is judged
constexpr double kMisfitMax = 0.1;  // counters are not read at one instant: a few percent say nothing
constexpr int kMisfitsInARowMax = 2;

double interrupt_seconds(const meter::CpuTimes& times) {
  double sum = 0;
  for (const auto& time : times) sum += time ? time->interrupt : 0;
  return sum;
}

class NicTable final : public Steering {
 public:
  NicTable(const NicTableOptions& options, Card card, Observer observer)
      : options_(options),
        card_(std::move(card)),
        observer_(std::move(observer)),
        table_(card_.table),
        overloaded_(card_.queues) {
    for (std::uint32_t queue = 0; queue < card_.queues; ++queue)
      names_.push_back(fmt::format("queue {}", queue));
  }
  ~NicTable() override {
    (void)stop([] { return false; });
  }

  std::string_view name() const override { return "nic_table"; }
  std::size_t buckets() const override { return table_.size(); }
  std::span<const std::string> processors() const override { return names_; }
  std::size_t pending() const override { return pending_.size(); }
  Result<void> withdraw() override {
    totals_.moves_withdrawn += pending_.size();
    pending_.clear();
    return {};
  }

  Result<void> start() override;
  Result<void> measure(Measurement& measurement) override;
  Result<void> apply(std::span<const Move> moves) override;
  Result<void> settle() override;
  Result<SteeringTotals> totals() override { return totals_; }
  Result<void> stop(const std::function<bool()>& may_wait) override;
  std::vector<std::string> notes() const override;

 private:
  struct Pending {
    std::uint32_t slot;
    std::uint32_t queue;
    Clock::time_point deadline;
    std::uint64_t packets = 0;  // of its slot when last looked at ...
    Clock::time_point since;    // ... unchanged since then
  };
  Result<void> write(const std::vector<std::uint32_t>& table);
  void share_out_load(const Observed& now, double interrupt, Measurement& measurement);
  Result<void> judge_effect(const Observed& now);
  bool may_go(Pending& pending, const Observed& now, Clock::time_point time);

  NicTableOptions options_;
  Card card_;
  Observer observer_;
  std::vector<std::string> names_;
  std::vector<std::uint32_t> table_;  // as written
  std::vector<Pending> pending_;
  std::vector<bool> overloaded_;  // queues, when last measured
  Observed last_;
  meter::CpuTimes cpu_times_;
  Clock::time_point measured_;
  double seconds_per_weight_ = kGuessPerPacket_seconds;
  // Since the last judgement of the effect.
  std::vector<std::uint64_t> expected_;
  std::vector<std::uint64_t> queue_packets_;
  std::optional<double> misfit_;
  int misfits_in_a_row_ = 0;
  bool changed_ = false;  // the card's table differs from the one that was found, or may
  SteeringTotals totals_;
};

// The table is written once as it was found: some cards show a table that is in effect only once it was set.
Result<void> NicTable::start() {
  if (auto written = write(table_); !written) return written;
  auto observed = observer_.read();
  if (!observed) return observed.error();
  last_ = std::move(*observed);
  cpu_times_ = meter::read_cpu_times();
  measured_ = Clock::now();
  queue_packets_ = packets_of_queues(options_.interface, card_.queues);
  expected_.assign(card_.queues, 0);
  return {};
}

Result<void> NicTable::write(const std::vector<std::uint32_t>& table) {
  changed_ = true;
  if (auto written = write_table(options_.interface, table); !written) return written;
  if (read_card(options_.interface).table != table) {
    return runtime_error(
        fmt::format("{}: the driver accepted a table and keeps another", options_.interface));
  }
  return {};
}

void NicTable::share_out_load(const Observed& now, double interrupt, Measurement& measurement) {
  double weight_sum = 0;
  for (std::size_t slot = 0; slot < table_.size(); ++slot) {
    const std::uint64_t packets = now.packets[slot] - last_.packets[slot];
    const std::uint64_t bytes = now.bytes[slot] - last_.bytes[slot];
    measurement.packets += packets;
    measurement.bytes += bytes;
    measurement.bucket_load[slot] =
        static_cast<double>(packets) + static_cast<double>(bytes) / kBytesLikeOnePacket;
    weight_sum += measurement.bucket_load[slot];
    measurement.owner[slot] = ProcessorId(table_[slot]);
    expected_[table_[slot]] += packets;
  }
  // The interrupt time of all CPUs is more than this interface's: the cost of a packet is an upper bound,
  // smoothed.
  constexpr double kSmoothing = 0.1;
  if (weight_sum > 100 && interrupt > 0) {
    seconds_per_weight_ += (interrupt / weight_sum - seconds_per_weight_) * kSmoothing;
  }
  for (double& load : measurement.bucket_load) load *= seconds_per_weight_ / measurement.seconds;
}

Result<void> NicTable::measure(Measurement& measurement) {
  auto now = observer_.read();
  if (!now) return now.error();
  const auto time = Clock::now();
  measurement.seconds = std::max(1e-9, std::chrono::duration<double>(time - measured_).count());
  measured_ = time;
  measurement.packets = measurement.bytes = measurement.drops = 0;
  measurement.bucket_load.assign(table_.size(), 0);
  measurement.owner.resize(table_.size());
  measurement.backlog.assign(card_.queues, 0);
  measurement.capacity.assign(card_.queues, 1);
  meter::CpuTimes times = meter::read_cpu_times();
  share_out_load(*now, interrupt_seconds(times) - interrupt_seconds(cpu_times_), measurement);
  cpu_times_ = std::move(times);
  measurement.usage.assign(card_.queues, 0);
  for (std::size_t slot = 0; slot < table_.size(); ++slot) {
    double& usage = measurement.usage[table_[slot]];
    usage = std::min(1.0, usage + measurement.bucket_load[slot]);
  }
  overloaded_.resize(card_.queues);
  for (std::size_t queue = 0; queue < card_.queues; ++queue)
    overloaded_[queue] = is_overloaded(measurement, queue);
  totals_.packets += measurement.packets;
  totals_.bytes += measurement.bytes;
  totals_.steered += measurement.packets;
  totals_.arrived += measurement.packets;
  measurement.passed_by = now->unclassified + now->malformed - last_.unclassified - last_.malformed;
  totals_.passed_by += measurement.passed_by;
  last_ = std::move(*now);
  return judge_effect(last_);
}

Result<void> NicTable::judge_effect(const Observed&) {
  const std::uint64_t judged = std::accumulate(expected_.begin(), expected_.end(), std::uint64_t{0});
  if (queue_packets_.empty() || judged < kJudgedMin) return {};
  const auto counted = packets_of_queues(options_.interface, card_.queues);
  std::vector<std::uint64_t> received(counted.size());
  for (std::size_t i = 0; i < counted.size(); ++i) received[i] = counted[i] - queue_packets_[i];
  misfit_ = misfit(expected_, received);
  totals_.table_misfit = misfit_;
  queue_packets_ = counted;
  expected_.assign(card_.queues, 0);
  misfits_in_a_row_ = *misfit_ > kMisfitMax ? misfits_in_a_row_ + 1 : 0;
  if (misfits_in_a_row_ < kMisfitsInARowMax) return {};
  return runtime_error(fmt::format(
      "{}: the card does not follow its table: {:.0f} % of the packets came to other queues than it says",
      options_.interface, *misfit_ * 100));
}

Result<void> NicTable::apply(std::span<const Move> moves) {
  const auto now = Clock::now();
  for (const Move& move : moves) {
    ++totals_.moves_wanted;
    pending_.push_back({.slot = move.bucket.value(),
                        .queue = move.to.value(),
                        .deadline = now + std::chrono::nanoseconds(options_.deadline_ns),
                        .packets = last_.packets[move.bucket.value()],
                        .since = now});
  }
  return settle();
}

bool NicTable::may_go(Pending& pending, const Observed& now, Clock::time_point time) {
  if (options_.order == MoveOrder::kFast) return true;
  if (now.packets[pending.slot] == pending.packets && time - pending.since >= kSilence) return true;
  if (options_.order == MoveOrder::kIdleFirst && time >= pending.deadline &&
      overloaded_[table_[pending.slot]]) {
    ++totals_.moves_forced;
    return true;
  }
  if (now.packets[pending.slot] != pending.packets) {
    pending.packets = now.packets[pending.slot];
    pending.since = time;
  }
  return false;
}

Result<void> NicTable::settle() {
  if (pending_.empty()) return {};
  auto now = observer_.read();
  if (!now) return now.error();
  const auto time = Clock::now();
  std::vector<std::uint32_t> table = table_;
  const auto gone = std::erase_if(pending_, [&](Pending& pending) {
    if (!may_go(pending, *now, time)) return false;
    table[pending.slot] = pending.queue;
    return true;
  });
  if (gone == 0) return {};
  totals_.moves_done += gone;
  if (auto written = write(table); !written) return written;
  table_ = std::move(table);
  // What came so far is judged no more: it may have met either table.
  expected_.assign(card_.queues, 0);
  queue_packets_ = packets_of_queues(options_.interface, card_.queues);
  auto observed = observer_.read();
  if (observed) last_ = std::move(*observed);
  return {};
}

Result<void> NicTable::stop(const std::function<bool()>&) {
  (void)withdraw();
  if (!changed_) return {};
  changed_ = false;
  return write_table(options_.interface, card_.table);
}

std::vector<std::string> NicTable::notes() const {
  std::vector<std::string> notes;
  notes.push_back(fmt::format("table: {} slots over {} queues; key {}; UDP {}", card_.table.size(),
                              card_.queues, is_symmetric(card_.key) ? "symmetric" : "not symmetric",
                              (card_.ports & 2) != 0 ? "with ports" : "by addresses alone"));
  notes.push_back(
      "load: packets and bytes counted for each slot by an observing program, at the mean cost of a packet");
  if (!card_.fields_known)
    notes.push_back("the driver does not tell which fields it hashes: TCP with ports is assumed");
  if (queue_packets_.empty())
    notes.push_back("the driver counts no packets for each queue: the effect is not verified");
  if (misfit_) notes.push_back(fmt::format("packets off the table's queues: {:.1f} %", *misfit_ * 100));
  return notes;
}

}  // namespace

Result<Card> find_usable_card(const std::string& interface) {
  Card card = read_card(interface);
  const auto lacks = [&](const char* what) {
    return runtime_error(
        fmt::format("{} {}: --actuator xdp_cpumap works with any interface", interface, what));
  };
  if (card.table.empty()) return lacks("has no indirection table that could be written");
  if (card.queues < 2) return lacks("has only one receive queue");
  if (!card.toeplitz || card.key.size() < 40) return lacks("hashes in a way that cannot be followed");
  if (!std::has_single_bit(card.table.size())) return lacks("has a table whose size is not a power of two");
  for (const std::uint32_t queue : card.table) {
    if (queue >= card.queues) return lacks("has a table that names queues beyond those in use");
  }
  return card;
}

double misfit(const std::vector<std::uint64_t>& expected, const std::vector<std::uint64_t>& counted) {
  const auto sum = [](const std::vector<std::uint64_t>& values) {
    return static_cast<double>(std::accumulate(values.begin(), values.end(), std::uint64_t{0}));
  };
  const double expected_sum = sum(expected);
  const double counted_sum = sum(counted);
  if (expected_sum <= 0 || counted_sum <= 0) return 0;
  double difference = 0;
  for (std::size_t i = 0; i < std::min(expected.size(), counted.size()); ++i) {
    difference += std::abs(static_cast<double>(expected[i]) / expected_sum -
                           static_cast<double>(counted[i]) / counted_sum);
  }
  return difference / 2;
}

Result<std::unique_ptr<Steering>> make_nic_table(const NicTableOptions& options) {
  auto card = find_usable_card(options.interface);
  if (!card) return card.error();
  auto observer = Observer::open({.interface_index = options.interface_index,
                                  .buckets = static_cast<std::uint32_t>(card->table.size()),
                                  .inner_tunnel = false,
                                  .card = CardHash{.key = card->key, .ports = card->ports}});
  if (!observer) return observer.error();
  return std::unique_ptr<Steering>(
      std::make_unique<NicTable>(options, std::move(*card), std::move(*observer)));
}

}  // namespace evenkeel::actuator

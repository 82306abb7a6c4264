#include "policy/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace evenkeel::policy {
namespace {

constexpr double kLargest = std::numeric_limits<double>::max();

// False for NaN, too.
bool is_load(double value) { return value >= 0 && value <= kLargest; }

Error bad_value(const char* what, std::size_t index, double value) {
  return usage_error(
      fmt::format("{} {} is {}: it must be a finite number of at least 0", what, index, value));
}

Result<void> check_values(const char* what, std::span<const double> values, std::size_t length) {
  if (values.size() != length)
    return usage_error(fmt::format("{} has {} values where {} are needed", what, values.size(), length));
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!is_load(values[i])) return bad_value(what, i, values[i]);
  return {};
}

Result<void> check_capacity(std::span<const double> capacity) {
  if (capacity.empty() || capacity.size() > kProcessorsMax)
    return usage_error(fmt::format("{} processors: there must be 1 to {}", capacity.size(), kProcessorsMax));
  if (auto result = check_values("capacity", capacity, capacity.size()); !result) return result;
  if (std::all_of(capacity.begin(), capacity.end(), [](double c) { return c == 0; }))
    return usage_error("the capacity of every processor is 0: one at least must be above 0");
  return {};
}

// A processor of capacity 0 must end empty: nothing may be held there.
Result<void> check_pins(const Snapshot& snapshot) {
  for (std::size_t j = 0; j < snapshot.pinned.size(); ++j) {
    const std::size_t owner = snapshot.owner[j].value();
    if (snapshot.pinned[j] && owner < snapshot.capacity.size() && snapshot.capacity[owner] == 0)
      return usage_error(
          fmt::format("bucket {} may not move from processor {}, which is to be emptied: give "
                      "one of the two up",
                      j, owner));
  }
  return {};
}

Result<void> check_shape(const Snapshot& snapshot) {
  const std::size_t buckets = snapshot.bucket_load.size();
  const std::size_t processors = snapshot.capacity.size();
  if (auto result = check_capacity(snapshot.capacity); !result) return result;
  if (buckets == 0 || buckets > kBucketsMax)
    return usage_error(fmt::format("{} buckets: there must be 1 to {}", buckets, kBucketsMax));
  if (snapshot.owner.size() != buckets)
    return usage_error(
        fmt::format("owners of {} buckets given, loads of {}", snapshot.owner.size(), buckets));
  if (!snapshot.pinned.empty() && snapshot.pinned.size() != buckets)
    return usage_error(fmt::format("pins of {} buckets given, loads of {}", snapshot.pinned.size(), buckets));
  if (auto result = check_pins(snapshot); !result) return result;
  if (!snapshot.usage.empty())
    if (auto result = check_values("usage", snapshot.usage, processors); !result) return result;
  if (!snapshot.backlog.empty())
    if (auto result = check_values("backlog", snapshot.backlog, processors); !result) return result;
  if (!snapshot.error.empty())
    if (auto result = check_values("the standard error", snapshot.error, processors); !result) return result;
  return {};
}

// Which bucket it was: only called when there is one.
Error find_bad_bucket(const Snapshot& snapshot) {
  for (std::size_t j = 0; j < snapshot.bucket_load.size(); ++j) {
    if (snapshot.owner[j].value() >= snapshot.capacity.size())
      return usage_error(fmt::format("bucket {} is on processor {}: there are {} processors", j,
                                     snapshot.owner[j].value(), snapshot.capacity.size()));
    if (!is_load(snapshot.bucket_load[j])) return bad_value("the load of bucket", j, snapshot.bucket_load[j]);
  }
  return usage_error("the sum of all loads is too large for a number");
}

}  // namespace

Result<void> Measured::read(const Snapshot& snapshot) {
  if (auto result = check_shape(snapshot); !result) return result;
  const std::size_t count = snapshot.capacity.size();
  processors.assign(count, {});
  elephants_.reserve(snapshot.bucket_load.size());
  bool bad = false;
  for (std::size_t j = 0; j < snapshot.bucket_load.size(); ++j) {
    const double load = snapshot.bucket_load[j];
    const std::uint32_t owner = snapshot.owner[j].value();
    if (owner >= count) return find_bad_bucket(snapshot);
    ProcessorLoad& processor = processors[owner];
    bad |= !is_load(load);
    processor.movable += load;
    processor.largest = std::max(processor.largest, load);
    processor.busy_buckets += load > 0;
  }
  if (bad) return find_bad_bucket(snapshot);

  total_load = total_capacity = largest_bucket = 0;
  for (std::size_t i = 0; i < count; ++i) {
    ProcessorLoad& processor = processors[i];
    const double backlog = snapshot.backlog.empty() ? 0 : snapshot.backlog[i];
    processor.capacity = snapshot.capacity[i];
    const double busy = snapshot.usage.empty() ? processor.movable : snapshot.usage[i] * processor.capacity;
    processor.load = std::max(busy, processor.movable) + backlog;
    if (snapshot.usage.empty())
      processor.usage = processor.capacity > 0 ? processor.movable / processor.capacity : 0;
    else
      processor.usage = snapshot.usage[i];
    if (backlog > 0 && processor.movable > 0) {
      processor.scale = 1 + backlog / processor.movable;
      processor.movable *= processor.scale;
      processor.largest *= processor.scale;
    }
    total_load += processor.load;
    total_capacity += processor.capacity;
    largest_bucket = std::max(largest_bucket, processor.largest);
  }
  // Keeps every sum and ratio that policies form of loads well inside a double.
  if (!(total_load < 1e150) || !(total_capacity < 1e150)) return find_bad_bucket(snapshot);
  return {};
}

void Measured::collect_elephants(const Snapshot& snapshot, double threshold) {
  elephants_.clear();
  for (std::uint32_t j = 0; j < snapshot.bucket_load.size(); ++j) {
    const double load = load_of(snapshot, j);
    if (load > threshold) elephants_.push_back({load, j});
  }
  std::sort(elephants_.begin(), elephants_.end(), [](const Elephant& a, const Elephant& b) {
    return a.load != b.load ? a.load > b.load : a.bucket < b.bucket;
  });
}

void Measured::fix_target(ProcessorLoad& processor, double target) {
  processor.target = target;
  processor.fixed = true;
  free_load_ = std::max(0.0, free_load_ - target);
  free_capacity_ -= processor.capacity;
}

// Work that is no bucket's cannot leave: where it alone exceeds the fair share, it is the target.
void Measured::fix_immovable() {
  for (bool again = true; again;) {
    again = false;
    for (ProcessorLoad& processor : processors) {
      const double immovable = processor.load - processor.movable;
      if (processor.fixed || immovable <= processor.capacity * share() * (1 + 1e-9)) continue;
      if (processor.capacity == 0) continue;
      fix_target(processor, immovable);
      again = true;
    }
  }
}

double Measured::free_capacity_max() const {
  double most = 0;
  for (const ProcessorLoad& processor : processors)
    if (!processor.fixed) most = std::max(most, processor.capacity);
  return most;
}

// The owner keeps its elephant if it is as fast as the fastest that is free, unless another would have less
// than half as many buckets to give away for it: an elephant's own move is the dearest of all. A pinned one
// stays in any case.
ProcessorLoad* Measured::home_of(const Snapshot& snapshot, const Elephant& elephant) {
  const double capacity = free_capacity_max();
  ProcessorLoad* owner = &processors[snapshot.owner[elephant.bucket].value()];
  const bool pinned = !snapshot.pinned.empty() && snapshot.pinned[elephant.bucket];
  if (pinned) return owner->fixed || owner->capacity == 0 ? nullptr : owner;
  const double fair = share() * capacity;
  ProcessorLoad* best = nullptr;
  std::uint32_t best_cost = 0;
  for (ProcessorLoad& processor : processors) {
    if (processor.fixed || processor.capacity < capacity) continue;
    // Nor where it would be worse off, next to work that cannot leave.
    const double there = elephant.load + std::max(0.0, processor.load - processor.movable);
    if (&processor != owner && there * owner->capacity > owner->load * processor.capacity) continue;
    std::uint32_t cost = processor.busy_buckets;
    // Elephants do not take each other's homes, only what is free.
    if (&processor != owner) cost = 2 * cost + 2 + (processor.largest > fair ? kBucketsMax : 0);
    if (best == nullptr || cost < best_cost || (cost == best_cost && processor.load < best->load)) {
      best = &processor;
      best_cost = cost;
    }
  }
  return best;
}

void Measured::set_targets(const Snapshot& snapshot) {
  free_load_ = total_load;
  free_capacity_ = total_capacity;
  fix_immovable();
  double threshold = std::numeric_limits<double>::infinity();
  std::size_t next = 0;
  while (free_capacity_max() > 0) {
    const double fair = share() * free_capacity_max();
    if (largest_bucket <= fair) break;
    if (next == elephants_.size() || threshold == std::numeric_limits<double>::infinity()) {
      if (threshold <= fair) break;
      // lambda only falls as elephants leave: half of it is where to look, so that mostly one pass does.
      const std::size_t done = threshold == std::numeric_limits<double>::infinity() ? 0 : next;
      threshold = 0.5 * fair;
      collect_elephants(snapshot, threshold);
      next = done;
      continue;
    }
    const Elephant elephant = elephants_[next];
    if (elephant.load <= fair) break;
    ++next;
    ProcessorLoad* home = home_of(snapshot, elephant);
    if (home == nullptr) continue;
    fix_target(*home, elephant.load + std::max(0.0, home->load - home->movable));
    home->has_elephant = true;
    home->elephant = BucketId(elephant.bucket);
  }
  level = free_capacity_ > 0 ? share() : 0;
  for (ProcessorLoad& processor : processors)
    if (!processor.fixed) processor.target = processor.capacity * level;
}

double Measured::share() const { return free_capacity_ > 0 ? free_load_ / free_capacity_ : 0; }

double Measured::max_over_mean() const {
  if (total_load <= 0) return 1;
  double worst = 0;
  for (const ProcessorLoad& processor : processors)
    if (processor.capacity > 0) worst = std::max(worst, processor.load / processor.capacity);
  return worst / (total_load / total_capacity);
}

double Measured::capacity_max() const {
  double fastest = 0;
  for (const ProcessorLoad& processor : processors) fastest = std::max(fastest, processor.capacity);
  return fastest;
}

double Measured::lower_bound() const {
  if (total_load <= 0) return 1;
  const double fastest = capacity_max();
  return std::max(1.0, largest_bucket / fastest / (total_load / total_capacity));
}

Result<void> check_options(const PolicyOptions& options) {
  const auto fraction = [](double value) { return value >= 0 && value <= 1; };
  if (!fraction(options.trigger) || !fraction(options.hysteresis))
    return usage_error("trigger and hysteresis must be from 0 to 1");
  if (options.trigger < options.hysteresis)
    return usage_error(fmt::format("trigger {} is below hysteresis {}: planning would start where it ends",
                                   options.trigger, options.hysteresis));
  if (!fraction(options.shade) || !fraction(options.swap_gain_min))
    return usage_error("shade and the least gain of a swap must be from 0 to 1");
  if (!is_load(options.errors))
    return usage_error("the number of standard errors must be finite, at least 0");
  if (!is_load(options.move_cost)) return usage_error("the cost of a move must be finite and at least 0");
  return {};
}

}  // namespace evenkeel::policy

namespace evenkeel {

Result<void> assign_by_capacity(std::span<const double> capacity, std::span<ProcessorId> owner) {
  if (auto result = policy::check_capacity(capacity); !result) return result;
  // Largest remainder first, a bucket at a time: the processor that is furthest behind its share. O(N log C).
  struct Turn {
    double at;  // when this processor is due for its next bucket
    std::uint32_t processor;
  };
  const auto later = [](const Turn& a, const Turn& b) {
    return a.at != b.at ? a.at > b.at : a.processor > b.processor;
  };
  std::vector<Turn> turns;
  for (std::uint32_t i = 0; i < capacity.size(); ++i)
    if (capacity[i] > 0) turns.push_back({0.5 / capacity[i], i});
  std::make_heap(turns.begin(), turns.end(), later);
  for (ProcessorId& slot : owner) {
    std::pop_heap(turns.begin(), turns.end(), later);
    Turn& turn = turns.back();
    slot = ProcessorId(turn.processor);
    turn.at += 1 / capacity[turn.processor];
    std::push_heap(turns.begin(), turns.end(), later);
  }
  return {};
}

}  // namespace evenkeel

// The tables that are compared, behind one small interface: insert a key, and look a long row of keys up in
// batches of 32, adding 1 to a counter in each value. Each does it in the fastest way that its interface
// offers.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/prefetch.h"
#include "bench/table_data.h"
#include "engine/connection_table.h"

#ifdef EVENKEEL_HAVE_ABSL
#include <absl/container/flat_hash_map.h>
#endif
#ifdef EVENKEEL_HAVE_BOOST
#include <boost/unordered/unordered_flat_map.hpp>
#endif
#ifdef EVENKEEL_HAVE_TSL
#include <tsl/robin_map.h>
#endif
#ifdef EVENKEEL_HAVE_DPDK
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_malloc.h>
#include <rte_memory.h>
#include <sched.h>
#endif

namespace evenkeel::bench {

inline constexpr std::size_t kBatch = 32;

class Contender {
 public:
  virtual ~Contender() = default;
  virtual std::string name() const = 0;
  virtual void insert(const Key& key) = 0;
  // Returns how many were found.
  virtual std::size_t look_up(std::span<const Key> keys) = 0;
  // All memory in use for what is stored.
  virtual double bytes() const = 0;
  // Entries that the last insert moved; -1 where it cannot be known.
  virtual int moved() { return -1; }
};

inline double allocated_bytes = 0;                            // by all maps
inline base::PageSize page_size = base::PageSize::kOrdinary;  // for all contenders alike

// Counts what a map holds, and gives it huge pages where all contenders get them.
template <typename T>
struct CountingAllocator {
  using value_type = T;

  CountingAllocator() = default;
  template <typename U>
  CountingAllocator(const CountingAllocator<U>&) {}

  T* allocate(std::size_t count) {
    const std::size_t size = count * sizeof(T);
    allocated_bytes += static_cast<double>(size);
    const bool large = size >= 2 * kHugePage;
    void* memory = std::aligned_alloc(large ? kHugePage : 64, round_up(size, large ? kHugePage : 64));
    if (large && page_size == base::PageSize::kHuge) madvise(memory, size, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) {
    allocated_bytes -= static_cast<double>(count * sizeof(T));
    std::free(memory);
  }
  friend bool operator==(const CountingAllocator&, const CountingAllocator&) { return true; }

  static constexpr std::size_t kHugePage = std::size_t{2} << 20;
  static std::size_t round_up(std::size_t size, std::size_t step) { return (size + step - 1) / step * step; }
};

class Evenkeel : public Contender {
 public:
  using Arena = engine::ConnectionArena<Key, Value, Hash>;
  using Table = engine::ConnectionTable<Key, Value, Hash>;

  Evenkeel(std::uint32_t connections, std::uint32_t tables, base::PageSize pages)
      : arena_(
            Arena::make({.connections_max = connections, .tables = tables, .pages = pages}, Hash{}).value()),
        cache_(*arena_),
        tables_(tables) {
    for (Table& table : tables_) table.attach(*arena_);
  }
  ~Evenkeel() override {
    for (Table& table : tables_) table.clear(cache_);
  }

  std::string name() const override {
    return tables_.size() == 1 ? "evenkeel" : "evenkeel, " + std::to_string(tables_.size()) + " tables";
  }

  void insert(const Key& key) override {
    const std::uint64_t hash = Hash{}(key);
    Table& table = table_of(hash);
    last_ = &table;
    moved_before_ = table.entries_moved();
    CHECK(table.insert(cache_, key, hash) != nullptr);
  }
  int moved() override { return static_cast<int>(last_->entries_moved() - moved_before_); }

  std::size_t look_up(std::span<const Key> keys) override {
    return tables_.size() == 1 ? look_up_in_one(keys) : look_up_in_many(keys);
  }

  double bytes() const override {
    return static_cast<double>(arena_->slots_taken()) * Arena::kSlotBytes +
           static_cast<double>(arena_->groups_taken()) * Arena::kGroupBytes +
           static_cast<double>(tables_.size() * sizeof(Table));
  }

 private:
  std::size_t look_up_in_one(std::span<const Key> keys) {
    std::size_t count = 0;
    std::array<std::uint64_t, kBatch> hashes;
    std::array<Value*, kBatch> found;
    for (; keys.size() >= kBatch; keys = keys.subspan(kBatch)) {
      for (std::size_t i = 0; i < kBatch; ++i) hashes[i] = Hash{}(keys[i]);
      tables_[0].find_batch(keys.first(kBatch), hashes, found);
      for (Value* value : found) {
        if (value != nullptr) ++value->packets, ++count;
      }
    }
    return count;
  }

  std::size_t look_up_in_many(std::span<const Key> keys) {
    std::size_t count = 0;
    std::array<Table::Query, kBatch> queries;
    std::array<Value*, kBatch> found;
    for (; keys.size() >= kBatch; keys = keys.subspan(kBatch)) {
      for (std::size_t i = 0; i < kBatch; ++i) {
        const std::uint64_t hash = Hash{}(keys[i]);
        queries[i] = {&table_of(hash), &keys[i], hash};
      }
      Table::find_batch(queries, found);
      for (Value* value : found) {
        if (value != nullptr) ++value->packets, ++count;
      }
    }
    return count;
  }

  // Bits that the table itself does not use. Powers of two only.
  Table& table_of(std::uint64_t hash) { return tables_[(hash >> 36) & (tables_.size() - 1)]; }

  std::unique_ptr<Arena> arena_;
  Arena::Cache cache_;
  std::vector<Table> tables_;
  Table* last_ = nullptr;
  std::uint32_t moved_before_ = 0;
};

// A map with the interface of std::unordered_map.
template <typename Map>
class MapContender : public Contender {
 public:
  void insert(const Key& key) override {
    const double before = allocated_bytes;
    map_.emplace(key, Value{});
    bytes_ += allocated_bytes - before;
  }
  double bytes() const override { return bytes_ + sizeof(Map); }
  std::size_t look_up(std::span<const Key> keys) override {
    std::size_t count = 0;
    for (; keys.size() >= kBatch; keys = keys.subspan(kBatch)) count += look_up_batch(keys.first(kBatch));
    return count;
  }

 protected:
  virtual std::size_t look_up_batch(std::span<const Key> keys) = 0;

  Map map_;

 private:
  double bytes_ = 0;
};

#ifdef EVENKEEL_HAVE_ABSL
using AbslMap =
    absl::flat_hash_map<Key, Value, Hash, std::equal_to<Key>, CountingAllocator<std::pair<const Key, Value>>>;
class Absl : public MapContender<AbslMap> {
 public:
  std::string name() const override { return "absl::flat_hash_map"; }

 private:
  std::size_t look_up_batch(std::span<const Key> keys) override {
    std::size_t count = 0;
    for (const Key& key : keys) map_.prefetch(key);
    for (const Key& key : keys) {
      if (const auto found = map_.find(key); found != map_.end()) ++found->second.packets, ++count;
    }
    return count;
  }
};
#endif

#ifdef EVENKEEL_HAVE_BOOST
using BoostMap = boost::unordered_flat_map<Key, Value, Hash, std::equal_to<Key>,
                                           CountingAllocator<std::pair<const Key, Value>>>;
class Boost : public MapContender<BoostMap> {  // offers no prefetch
 public:
  std::string name() const override { return "boost::unordered_flat_map"; }

 private:
  std::size_t look_up_batch(std::span<const Key> keys) override {
    std::size_t count = 0;
    for (const Key& key : keys) {
      if (const auto found = map_.find(key); found != map_.end()) ++found->second.packets, ++count;
    }
    return count;
  }
};
#endif

#ifdef EVENKEEL_HAVE_TSL
using TslMap = tsl::robin_map<Key, Value, Hash, std::equal_to<Key>, CountingAllocator<std::pair<Key, Value>>>;
class Tsl : public MapContender<TslMap> {  // offers no prefetch
 public:
  std::string name() const override { return "tsl::robin_map"; }

 private:
  std::size_t look_up_batch(std::span<const Key> keys) override {
    std::size_t count = 0;
    for (const Key& key : keys) {
      if (const auto found = map_.find(key); found != map_.end()) ++found.value().packets, ++count;
    }
    return count;
  }
};
#endif

#ifdef EVENKEEL_HAVE_DPDK
// Starts DPDK's memory once. It would pin this thread and wants huge pages of its own: neither is taken.
inline bool start_dpdk() {
  cpu_set_t cpus;
  sched_getaffinity(0, sizeof cpus, &cpus);
  std::vector<std::string> words{"bench_table", "--no-huge",      "-m",           "2048",
                                 "--no-pci",    "--no-telemetry", "--log-level=1"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  const bool started = rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
  sched_setaffinity(0, sizeof cpus, &cpus);
  if (started && page_size == base::PageSize::kHuge) {
    rte_memseg_list_walk([](const rte_memseg_list* list,
                            void*) { return madvise(list->base_va, list->len, MADV_HUGEPAGE), 0; },
                         nullptr);
  }
  return started;
}

// Made for its final number of entries, as it cannot grow. Values stand in an array by the entry's position.
class Dpdk : public Contender {
 public:
  explicit Dpdk(std::uint32_t connections) {
    static int made = 0;
    const std::string label = "bench" + std::to_string(made++);
    rte_malloc_socket_stats before, after;
    rte_malloc_get_socket_stats(0, &before);
    rte_hash_parameters parameters{};
    parameters.name = label.c_str();
    parameters.entries = connections;
    parameters.key_len = sizeof(Key);
    parameters.hash_func = [](const void* key, std::uint32_t, std::uint32_t) {
      return hash_of(*static_cast<const Key*>(key));
    };
    table_ = rte_hash_create(&parameters);
    CHECK(table_ != nullptr);
    rte_malloc_get_socket_stats(0, &after);
    values_.resize(connections + 1);
    bytes_ = static_cast<double>(after.heap_allocsz_bytes - before.heap_allocsz_bytes) +
             static_cast<double>(values_.size() * sizeof(Value));
  }
  ~Dpdk() override { rte_hash_free(table_); }

  std::string name() const override { return "rte_hash"; }
  void insert(const Key& key) override { CHECK(rte_hash_add_key_with_hash(table_, &key, hash_of(key)) >= 0); }
  double bytes() const override { return bytes_; }

  std::size_t look_up(std::span<const Key> keys) override {
    std::size_t count = 0;
    std::array<const void*, kBatch> pointers;
    std::array<hash_sig_t, kBatch> hashes;
    std::array<std::int32_t, kBatch> positions;
    for (; keys.size() >= kBatch; keys = keys.subspan(kBatch)) {
      for (std::size_t i = 0; i < kBatch; ++i) pointers[i] = &keys[i], hashes[i] = hash_of(keys[i]);
      rte_hash_lookup_with_hash_bulk(table_, pointers.data(), hashes.data(), kBatch, positions.data());
      for (const std::int32_t position : positions)
        evenkeel::base::prefetch(&values_[static_cast<std::size_t>(std::max(position, 0))]);
      for (const std::int32_t position : positions) {
        if (position >= 0) ++values_[static_cast<std::size_t>(position)].packets, ++count;
      }
    }
    return count;
  }

 private:
  static std::uint32_t hash_of(const Key& key) { return static_cast<std::uint32_t>(Hash{}(key)); }

  rte_hash* table_ = nullptr;
  std::vector<Value, CountingAllocator<Value>> values_;
  double bytes_ = 0;
};
#endif

}  // namespace evenkeel::bench

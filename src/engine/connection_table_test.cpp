#include "engine/connection_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/random.h"

namespace evenkeel::engine {
namespace {

struct TestKey {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const TestKey&, const TestKey&) = default;
};

// Mixes well, or keeps only `bits` of the mix so that keys collide.
struct TestHash {
  std::uint64_t kept = ~std::uint64_t{0};
  std::uint64_t operator()(const TestKey& key) const {
    std::uint64_t state = key.high ^ (key.low * 0x9e3779b97f4a7c15u);
    return base::splitmix64(state) & kept;
  }
};

struct TestValue {
  std::uint64_t last_seen = 0;
  std::array<std::uint64_t, 7> more{};
};
static_assert(sizeof(TestValue) == 64);

using Arena = ConnectionArena<TestKey, TestValue, TestHash>;
using Table = ConnectionTable<TestKey, TestValue, TestHash>;

TestKey key_of(std::uint64_t number) { return {number, ~number}; }

std::unique_ptr<Arena> make_arena(ArenaOptions options, TestHash hash = {}) {
  Result<std::unique_ptr<Arena>> arena = Arena::make(options, hash);
  CHECK(arena.ok());
  return std::move(*arena);
}

std::unique_ptr<Arena> make_arena(std::uint32_t connections_max, TestHash hash = {}) {
  return make_arena({.connections_max = connections_max, .tables = 4, .pages = base::PageSize::kOrdinary},
                    hash);
}

TestValue* insert(Table& table, Arena& arena, Arena::Cache& cache, std::uint64_t number) {
  return table.insert(cache, key_of(number), arena.hash()(key_of(number)));
}

TestValue* find(const Table& table, const Arena& arena, std::uint64_t number) {
  return table.find(key_of(number), arena.hash()(key_of(number)));
}

// --- As a map

using Model = std::unordered_map<std::uint64_t, SlotId>;

void check_same(const Table& table, const Arena& arena, const Model& model) {
  RC_ASSERT(table.size() == model.size());
  std::size_t visited = 0;
  table.for_each([&](SlotId slot, const TestKey& key, TestValue& value) {
    ++visited;
    const auto found = model.find(key.high);
    RC_ASSERT(found != model.end());
    RC_ASSERT(found->second == slot);
    RC_ASSERT(value.last_seen == key.high);
    RC_ASSERT(&table.value(slot) == &value);
    RC_ASSERT(table.slot_of(value) == slot);
    RC_ASSERT(table.key_of(value) == key);
  });
  RC_ASSERT(visited == model.size());
  for (const auto& [number, slot] : model) {
    const TestValue* found = find(table, arena, number);
    RC_ASSERT(found == &table.value(slot));
  }
}

// One random step on table and model: mostly inserts while `growing`.
void step(Table& table, Arena& arena, Arena::Cache& cache, Model& model, base::Random& random, bool growing) {
  const std::uint64_t number = random.below(growing ? 3'000 : 500);
  const auto known = model.find(number);
  const TestValue* found = find(table, arena, number);
  RC_ASSERT((found != nullptr) == (known != model.end()));
  if (known != model.end()) {
    if (growing && random.below(4) != 0) return;
    table.erase(cache, known->second);
    model.erase(known);
    RC_ASSERT(!find(table, arena, number));
  } else if (growing || random.below(4) == 0) {
    TestValue* made = insert(table, arena, cache, number);
    if (!made) return;  // only where hashes collide; what must still hold is checked by the caller
    RC_ASSERT(made->last_seen == 0u);
    made->last_seen = number;
    model[number] = table.slot_of(*made);
  }
}

void behaves_like_a_map(TestHash hash) {
  const auto seed = *rc::gen::arbitrary<std::uint64_t>();
  base::Random random(seed);
  const auto arena = make_arena(4'000, hash);
  Arena::Cache cache(*arena);
  Table table(*arena);
  Model model;
  for (int phase = 0; phase < 6; ++phase) {
    const std::uint64_t steps = random.below(2'500);
    for (std::uint64_t i = 0; i < steps; ++i) step(table, *arena, cache, model, random, phase % 2 == 0);
    check_same(table, *arena, model);
  }
  while (!model.empty()) {
    table.erase(cache, model.begin()->second);
    model.erase(model.begin());
  }
  check_same(table, *arena, model);
  cache.slots().give_back_all();
  cache.groups().give_back_all();
  RC_ASSERT(arena->slots_taken() == 0u);
  RC_ASSERT(arena->groups_taken() == 0u);
}

RC_GTEST_PROP(ConnectionTable, BehavesLikeAMap, ()) { behaves_like_a_map({}); }
RC_GTEST_PROP(ConnectionTable, BehavesLikeAMapWhenMostHashesCollide, ()) {
  behaves_like_a_map({*rc::gen::element<std::uint64_t>(0, 0x3, 0xff, 0x1f00000000000001)});
}

TEST(ConnectionTable, BatchFindsWhatSingleLookupsFind) {
  for (const std::uint64_t kept : {~std::uint64_t{0}, std::uint64_t{0x1f}}) {
    const auto arena = make_arena(20'000, {kept});
    Arena::Cache cache(*arena);
    std::vector<Table> tables(3);
    for (Table& table : tables) table.attach(*arena);
    // Table 0 stays empty.
    for (std::uint64_t i = 0; i < 10'000; ++i) insert(tables[1 + i % 2], *arena, cache, i);
    base::Random random(3);
    for (int round = 0; round < 300; ++round) {
      std::vector<TestKey> keys(random.below(kFindBatchMax + 1));
      std::vector<std::uint64_t> hashes;
      std::vector<Table::Query> queries;
      for (TestKey& key : keys) {
        key = key_of(random.below(12'000));
        hashes.push_back(arena->hash()(key));
        queries.push_back({&tables[random.below(3)], &key, hashes.back()});
      }
      std::vector<TestValue*> one(keys.size()), many(keys.size());
      tables[1].find_batch(keys, hashes, one);
      Table::find_batch(queries, many);
      for (std::size_t i = 0; i < keys.size(); ++i) {
        EXPECT_EQ(one[i], tables[1].find(keys[i], hashes[i]));
        EXPECT_EQ(many[i], queries[i].table->find(keys[i], hashes[i]));
      }
    }
  }
}

TEST(ConnectionTable, HoldsExactlyTheSlotsOfItsEntries) {
  const auto arena = make_arena(100);
  Arena::Cache cache(*arena);
  std::array<Table, 2> tables;
  for (Table& table : tables) table.attach(*arena);
  const SlotId slot = tables[0].slot_of(*insert(tables[0], *arena, cache, 1));
  EXPECT_TRUE(tables[0].holds(slot));
  EXPECT_FALSE(tables[1].holds(slot));
  tables[0].erase(cache, slot);
  EXPECT_FALSE(tables[0].holds(slot));
  const SlotId again = tables[1].slot_of(*insert(tables[1], *arena, cache, 2));
  ASSERT_EQ(again, slot);
  EXPECT_TRUE(tables[1].holds(slot));
  EXPECT_FALSE(tables[0].holds(slot));
  tables[1].clear(cache);
  EXPECT_FALSE(tables[1].holds(slot));
}

// --- Bounds

TEST(ConnectionTable, NoInsertOrEraseMovesMoreThan64Entries) {
  for (const std::uint64_t kept : {~std::uint64_t{0}, std::uint64_t{0xff}, std::uint64_t{0}}) {
    const auto arena = make_arena(300'000, {kept});
    Arena::Cache cache(*arena);
    Table table(*arena);
    std::uint32_t moved_max = 0, before = 0;
    const auto note = [&] {
      moved_max = std::max(moved_max, table.entries_moved() - before);
      before = table.entries_moved();
    };
    std::vector<SlotId> slots;
    for (std::uint64_t i = 0; i < 300'000; ++i) {
      if (TestValue* made = insert(table, *arena, cache, i)) slots.push_back(table.slot_of(*made));
      note();
    }
    for (const SlotId slot : slots) {
      table.erase(cache, slot);
      note();
    }
    EXPECT_LE(moved_max, kMovesMax);
    if (kept == ~std::uint64_t{0}) {
      EXPECT_EQ(slots.size(), 300'000u);
      EXPECT_GT(moved_max, 0u);
    }
  }
}

TEST(ConnectionTable, ValuesStayWhereTheyAreWhileTheTableGrowsAndShrinks) {
  const auto arena = make_arena(50'000);
  Arena::Cache cache(*arena);
  Table table(*arena);
  const TestValue* first = insert(table, *arena, cache, 0);
  for (std::uint64_t i = 1; i < 50'000; ++i) ASSERT_TRUE(insert(table, *arena, cache, i));
  EXPECT_EQ(find(table, *arena, 0), first);
  for (std::uint64_t i = 1; i < 50'000; ++i) table.erase(cache, table.slot_of(*find(table, *arena, i)));
  EXPECT_EQ(find(table, *arena, 0), first);
  EXPECT_EQ(table.groups(), 1u);
}

// Slots and index groups that tables use, for 16-byte keys and 64-byte values.
TEST(ConnectionTable, AConnectionCostsAtMost96Bytes) {
  for (const std::uint32_t tables : {1u, 16u, 256u}) {
    for (const std::uint32_t connections : {60'000u, 100'000u, 140'000u, 180'000u, 220'000u}) {
      const auto arena = make_arena({.connections_max = connections, .tables = tables});
      Arena::Cache cache(*arena);
      std::vector<Table> all(tables);
      for (Table& table : all) table.attach(*arena);
      for (std::uint64_t i = 0; i < connections; ++i) {
        ASSERT_TRUE(insert(all[i * tables / connections], *arena, cache, i));
      }
      const double bytes = static_cast<double>(arena->slots_taken()) * Arena::kSlotBytes +
                           static_cast<double>(arena->groups_taken()) * Arena::kGroupBytes +
                           static_cast<double>(tables * sizeof(Table));
      EXPECT_LE(bytes / connections, 96.0) << tables << " tables, " << connections << " connections";
    }
  }
}

TEST(ConnectionTable, AnEmptyTableHoldsNothingOfTheArena) {
  static_assert(sizeof(Table) <= 128);
  const auto arena = make_arena(1'000);
  Table table(*arena);
  EXPECT_FALSE(find(table, *arena, 1));
  Arena::Cache cache(*arena);
  for (std::uint64_t i = 0; i < 1'000; ++i) insert(table, *arena, cache, i);
  table.clear(cache);
  cache.slots().give_back_all();
  cache.groups().give_back_all();
  EXPECT_EQ(arena->slots_taken(), 0u);
  EXPECT_EQ(arena->groups_taken(), 0u);
  EXPECT_FALSE(find(table, *arena, 1));
}

// Every way to spread connections over tables fits the reserved index.
TEST(ConnectionTable, TheArenaHoldsAsManyConnectionsAsItPromisesHoweverTheySpread) {
  constexpr std::uint32_t kConnections = 30'000;
  for (const std::uint32_t tables : {1u, 7u, 1'000u, 30'000u, 65'536u}) {
    const auto arena = make_arena({.connections_max = kConnections, .tables = tables});
    Arena::Cache cache(*arena);
    std::vector<Table> all(tables);
    for (Table& table : all) table.attach(*arena);
    base::Random random(tables);
    for (std::uint64_t i = 0; i < kConnections; ++i) {
      ASSERT_TRUE(insert(all[random.below(random.below(tables) + 1)], *arena, cache, i))
          << tables << " " << i;
    }
    EXPECT_FALSE(insert(all[0], *arena, cache, kConnections));
  }
}

// --- Where memory or a chain ends

bool idle_longer(const TestValue& a, const TestValue& b) { return a.last_seen < b.last_seen; }

TEST(ConnectionTable, AnExhaustedArenaRefusesAndServesAgainAfterAnEviction) {
  const auto arena = make_arena(100);
  Arena::Cache cache(*arena);
  Table table(*arena);
  std::set<std::uint64_t> live;
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    TestValue* made = insert(table, *arena, cache, i);
    EXPECT_EQ(made != nullptr, i < 100);
    if (!made) {
      const SlotId victim = table.victim(arena->hash()(key_of(i)), 8, idle_longer);
      ASSERT_NE(victim, kNoSlot);
      EXPECT_EQ(live.erase(table.key(victim).high), 1u);
      table.erase(cache, victim);
      made = insert(table, *arena, cache, i);
      ASSERT_TRUE(made);
    }
    made->last_seen = i;
    live.insert(i);
  }
  EXPECT_EQ(table.size(), 100u);
  for (const std::uint64_t i : live) EXPECT_TRUE(find(table, *arena, i));
}

TEST(ConnectionTable, EqualHashesAreRefusedAtTheEndOfTheChainAndTheVictimMakesRoom) {
  const auto arena = make_arena(1'000, {0});
  Arena::Cache cache(*arena);
  Table table(*arena);
  for (std::uint64_t i = 0; i < kMovesMax; ++i) {
    TestValue* made = insert(table, *arena, cache, i);
    ASSERT_TRUE(made);
    made->last_seen = (i + 30) % kMovesMax;
  }
  EXPECT_FALSE(insert(table, *arena, cache, 1'000));
  const SlotId victim = table.victim(0, 1, idle_longer);
  EXPECT_EQ(table.value(victim).last_seen, 0u) << "all of the chain is examined";
  table.erase(cache, victim);
  EXPECT_TRUE(insert(table, *arena, cache, 1'000));
}

TEST(ConnectionTable, TheVictimIsTheLongestIdleOfThoseExaminedAndTheHandReachesAll) {
  const auto arena = make_arena(2'000);
  Arena::Cache cache(*arena);
  Table table(*arena);
  EXPECT_EQ(table.victim(0, 8, idle_longer), kNoSlot);
  for (std::uint64_t i = 0; i < 2'000; ++i) insert(table, *arena, cache, i)->last_seen = i;
  EXPECT_EQ(table.value(table.victim(0, 10'000, idle_longer)).last_seen, 0u);
  std::set<std::uint64_t> examined;
  for (int call = 0; call < 2'000; ++call) {
    table.victim(0, 1, [&](const TestValue& a, const TestValue& b) {
      examined.insert(a.last_seen);
      examined.insert(b.last_seen);
      return idle_longer(a, b);
    });
  }
  EXPECT_GT(examined.size(), 1'900u);  // a group with one entry is examined without a comparison
}

// --- Values with a destructor

struct Counted {
  static inline int live = 0;
  std::uint64_t padding = 0;
  Counted() { ++live; }
  ~Counted() { --live; }
};

TEST(ConnectionTable, EveryValueIsDestroyedOnce) {
  using CountedArena = ConnectionArena<TestKey, Counted, TestHash>;
  const auto made = CountedArena::make({.connections_max = 1'000, .pages = base::PageSize::kOrdinary}, {});
  ASSERT_TRUE(made.ok());
  CountedArena& arena = **made;
  CountedArena::Cache cache(arena);
  ConnectionTable<TestKey, Counted, TestHash> cleared(arena);
  {
    ConnectionTable<TestKey, Counted, TestHash> dropped(arena);
    for (std::uint64_t i = 0; i < 400; ++i) {
      cleared.insert(cache, key_of(i), arena.hash()(key_of(i)));
      dropped.insert(cache, key_of(i), arena.hash()(key_of(i)));
    }
    dropped.erase(cache, dropped.slot_of(*dropped.find(key_of(7), arena.hash()(key_of(7)))));
    EXPECT_EQ(Counted::live, 799);
  }
  EXPECT_EQ(Counted::live, 400);
  cleared.clear(cache);
  EXPECT_EQ(Counted::live, 0);
}

// --- Hand-over

// Two workers pass two tables back and forth; what one worker took from the arena the other gives back. Run
// under the thread sanitizer it shows that the hand-over alone orders all accesses.
TEST(ConnectionTable, TablesMoveBetweenThreadsWithWhatTheyHold) {
  constexpr int kRounds = 200;
  const auto arena =
      make_arena({.connections_max = 4'000, .tables = 2, .workers = 2, .pages = base::PageSize::kOrdinary});
  std::array<Table, 2> tables;
  for (Table& table : tables) table.attach(*arena);
  std::array<std::atomic<int>, 2> turn{};  // round % 2 says which worker owns the table
  const auto work = [&](int worker) {
    Arena::Cache cache(*arena);
    base::Random random(static_cast<std::uint64_t>(worker));
    for (int round = 0; round < kRounds; ++round) {
      for (int t = 0; t < 2; ++t) {
        // Table t is this worker's in every second turn. Acquire: the other's changes come before ours.
        const int mine = 2 * round + (worker ^ t);
        while (turn[t].load(std::memory_order_acquire) != mine) std::this_thread::yield();
        Table& table = tables[t];
        for (int i = 0; i < 50; ++i) {
          const std::uint64_t number = random.below(3'000);
          const TestValue* found = find(table, *arena, number);
          if (!found) {
            if (TestValue* made = insert(table, *arena, cache, number)) made->last_seen = number;
          } else {
            EXPECT_EQ(found->last_seen, number);
            table.erase(cache, table.slot_of(*found));
          }
        }
        turn[t].store(mine + 1, std::memory_order_release);
      }
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  EXPECT_EQ(arena->slots_taken(), tables[0].size() + tables[1].size());
}

}  // namespace
}  // namespace evenkeel::engine

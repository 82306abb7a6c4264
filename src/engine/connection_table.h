// The connections of one bucket: from key to value, growing and shrinking a little at a time.
//
// Method: linear hashing (Litwin, VLDB 1980) over groups of one cache line (index_group.h). The table has n
// groups; an insert that makes them fuller than kGroupLoadMax on average adds group n and moves to it, out of
// one other group, the entries whose hash now says so. Groups are found through blocks of 1, 1, 1, 1, 2, 2,
// 2, 2, 4, ... groups (Brodnik and others, "Resizable arrays in optimal time and space", 1999), so that
// nothing is ever copied to a larger array and at most a quarter of the index is unused. A group that is full
// goes on in a chain of at most kChainGroupsMax.
//
// Bounds, each tested:
//   - an insert or erase moves at most kMovesMax entries of the index; values never move;
//   - a lookup reads at most kChainGroupsMax groups, also when all hashes are equal: an insert into a full
//     chain is refused instead (see victim());
//   - all memory is the arena's: an insert is refused where it is used up. An empty table holds none of it.
//
// Ownership: one thread at a time, with a Cache of its own; handing a table over is the caller's matter and
// must order what the old owner did before what the new one does. That holds for prefetches and const calls
// too. Values have stable addresses, and slots stable numbers, from insert to erase.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/prefetch.h"
#include "base/units.h"
#include "engine/connection_arena.h"
#include "engine/index_group.h"
#include "engine/slot_pool.h"

namespace evenkeel::engine {

inline constexpr std::uint32_t kFindBatchMax = 32;
inline constexpr std::uint32_t kChainGroupsMax = 5;
inline constexpr std::uint32_t kMovesMax = kChainGroupsMax * IndexGroup::kPlaces;
static_assert(kMovesMax <= 64, "the promise to the packet path");

// HotValueBytes: how many first bytes of a value a batch of lookups prefetches.
template <typename Key, typename Value, typename Hash, std::size_t HotValueBytes = 16>
class alignas(base::kCacheLine) ConnectionTable {
 public:
  using Arena = ConnectionArena<Key, Value, Hash>;
  using Cache = typename Arena::Cache;
  using Entry = typename Arena::Entry;

  // One lookup of a batch.
  struct Query {
    const ConnectionTable* table;
    const Key* key;
    std::uint64_t hash;
  };

  ConnectionTable() {
    blocks_ = inline_blocks_.data();
    set_block(0, GroupPool::kNone);
  }
  explicit ConnectionTable(Arena& arena) : ConnectionTable() { attach(arena); }
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;
  // The values end; the memory stays with the arena's tables and is gone with it. clear() gives it back.
  ~ConnectionTable() {
    if constexpr (!std::is_trivially_destructible_v<Value>) {
      for_each([](SlotId, const Key&, Value& value) { std::destroy_at(&value); });
    }
  }

  // Once, before any other call. The arena outlives the table.
  void attach(Arena& arena) {
    CHECK(arena_ == nullptr);
    arena_ = &arena;
    number_ = arena.new_table_number();
  }

  std::uint32_t size() const { return size_; }

  // The value of a key, or nullptr. `hash` is the arena's hash of the key, here and below.
  Value* find(const Key& key, std::uint64_t hash) const;

  // Looks up to kFindBatchMax keys up, of this or of several tables of one arena, so that their cache misses
  // overlap. out[i] answers queries[i].
  static void find_batch(std::span<const Query> queries, std::span<Value*> out);
  // The same for queries that lie elsewhere: queries.table(i), key(i) and hash(i), called when they are
  // needed.
  template <typename Queries>
  static void find_batch(std::size_t count, const Queries& queries, std::span<Value*> out);
  void find_batch(std::span<const Key> keys, std::span<const std::uint64_t> hashes,
                  std::span<Value*> out) const;

  // Starts loading what find() reads first. Worth it some 100 ns before.
  void prefetch(std::uint64_t hash) const { base::prefetch(home(hash)); }

  // A new entry with a default value; the key must not be in the table. nullptr where the arena is used up or
  // the chain of this hash is full: then erase what victim() names and insert again.
  Value* insert(Cache& cache, const Key& key, std::uint64_t hash);

  // Ends an entry of this table. Must not be called from for_each().
  void erase(Cache& cache, SlotId slot);

  // Ends all entries and gives all memory back.
  void clear(Cache& cache);

  // Calls function(slot, key, value) for each entry, in no particular order. It may not insert or erase.
  template <typename Function>
  void for_each(Function&& function) const;

  // The entry to give up so that an insert with this hash succeeds; kNoSlot where the table is empty. Of the
  // entries examined it is the one that no other goes before: goes_before(a, b) says that a should be given
  // up rather than b. Examined are, if the chain of the hash is full, all of the chain, since no other would
  // make room there; else at least `examine` entries (of as many groups as hold them), where the last call
  // stopped: each entry is looked at once in a turn of the hand. With "idle for longer" this is sampled
  // least-recently-used, as in Redis.
  template <typename GoesBefore>
  SlotId victim(std::uint64_t hash, std::uint32_t examine, GoesBefore&& goes_before);

  // Whether this table has an entry in the slot. The slots of all tables are one set of numbers: once an
  // entry ended, its slot may belong to another table and another thread. Whoever kept a slot for longer, as
  // a timer wheel does, must ask before touching it.
  bool holds(SlotId slot) const { return arena_->owner(slot) == number_; }
  void prefetch_holds(SlotId slot) const { arena_->prefetch_owner(slot); }

  SlotId slot_of(const Value& value) const {
    return SlotId{static_cast<std::uint32_t>(entry_of(value) - arena_->entries())};
  }
  const Key& key_of(const Value& value) const { return entry_of(value)->key; }
  Value& value(SlotId slot) const { return arena_->entry(slot).value; }
  const Key& key(SlotId slot) const { return arena_->entry(slot).key; }

  // Index entries that growing and shrinking moved since the start, modulo 2^32.
  std::uint32_t entries_moved() const { return entries_moved_; }
  // Groups in use, those of overflow chains not counted.
  std::uint32_t groups() const { return group_count_; }

 private:
  struct Place {
    IndexGroup* group;
    std::uint32_t at;
  };
  struct IndexEntry {
    std::uint8_t tag;
    std::uint32_t slot;
  };
  // The index entries of one or two chains.
  struct Gathered {
    std::uint32_t count = 0;
    std::uint32_t groups = 0;  // that they fill
    std::array<IndexEntry, 2 * kMovesMax> entries;
    std::span<IndexEntry> span() { return std::span(entries).first(count); }
  };

  static std::uint8_t tag_of(std::uint64_t hash) {
    static_assert(IndexGroup::kFree == 0);
    const auto tag = static_cast<std::uint32_t>(hash >> 56);
    return static_cast<std::uint8_t>(tag + (tag < 1));
  }

  // Keys without padding are compared as words, without a branch or a call for each member.
  static bool same(const Key& a, const Key& b) {
    if constexpr (std::has_unique_object_representations_v<Key> && sizeof(Key) % sizeof(std::uint64_t) == 0) {
      return same_words<sizeof(Key)>(reinterpret_cast<const std::byte*>(&a),
                                     reinterpret_cast<const std::byte*>(&b));
    } else {
      return a == b;
    }
  }

  // As vectors of two words, which the compiler compares at once where the machine can, and one more.
  template <std::size_t kBytes>
  static bool same_words(const std::byte* a, const std::byte* b) {
    using Pair [[gnu::vector_size(16)]] = std::uint64_t;
    Pair differences{};
    std::size_t at = 0;
    for (; at + sizeof(Pair) <= kBytes; at += sizeof(Pair))
      differences |= load<Pair>(a + at) ^ load<Pair>(b + at);
    std::uint64_t difference = differences[0] | differences[1];
    if constexpr (kBytes % sizeof(Pair) != 0)
      difference |= load<std::uint64_t>(a + at) ^ load<std::uint64_t>(b + at);
    return difference == 0;
  }
  template <typename Word>
  static Word load(const std::byte* from) {
    Word word;
    std::memcpy(&word, from, sizeof word);
    return word;
  }

  static Entry* entry_of(const Value& value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    return reinterpret_cast<Entry*>(const_cast<std::byte*>(bytes - offsetof(Entry, value)));
  }

  static void prefetch_entry(const Entry* entry) {
    constexpr std::size_t kHotBytes = std::min(sizeof(Entry), offsetof(Entry, value) + HotValueBytes);
    const auto* bytes = reinterpret_cast<const std::byte*>(entry);
    for (std::size_t at = 0; at < kHotBytes; at += base::kCacheLine) base::prefetch(bytes + at);
    // Entries of whole lines begin with a line; others may begin in the middle of one and end in one more.
    if constexpr (sizeof(Entry) % base::kCacheLine != 0) base::prefetch(bytes + kHotBytes - 1);
  }

  // The number of the group that a hash belongs to, of `group_count_`: as many low bits as fit, one fewer
  // where that group does not exist yet.
  std::uint32_t home_number(std::uint64_t hash) const {
    const auto number = static_cast<std::uint32_t>(hash) & mask_;
    // A shift instead of a choice: a branch here would be mispredicted all the time.
    return number & (mask_ >> static_cast<std::uint32_t>(number >= group_count_));
  }
  // An empty table has no block, and block 0 is then group 0 of the pool, which is empty.
  std::uint32_t home_id(std::uint64_t hash) const { return group_id(home_number(hash)); }
  IndexGroup* home(std::uint64_t hash) const { return pooled_group(home_id(hash)); }

  // Blocks 4e to 4e+3 have 2^e groups each. In x = number + 4, e is the position of the leading bit less 2,
  // the two bits behind the leading one say which of the four, and the rest is the place in the block.
  struct BlockPlace {
    std::uint32_t block;
    std::uint32_t order;  // e
  };
  static BlockPlace block_of(std::uint32_t number) {
    const std::uint32_t x = number + 4;
    const auto order = static_cast<std::uint32_t>(__builtin_clz(x) ^ 31) - 2;  // x is never 0
    return {4 * order + (x >> order) - 4, order};
  }
  static bool is_first_of_block(std::uint32_t number, std::uint32_t order) {
    return ((number + 4) & ((1u << order) - 1)) == 0;
  }
  // blocks_ holds each block's first group less the x of that group: adding x gives the group.
  std::uint32_t group_id(std::uint32_t number) const { return blocks_[block_of(number).block] + number + 4; }
  IndexGroup* group(std::uint32_t number) const { return pooled_group(group_id(number)); }
  static std::uint32_t first_x(std::uint32_t block) { return (4 + block % 4) << (block / 4); }
  void set_block(std::uint32_t block, std::uint32_t first) { blocks_[block] = first - first_x(block); }
  std::uint32_t block_at(std::uint32_t block) const { return blocks_[block] + first_x(block); }
  IndexGroup* pooled_group(std::uint32_t id) const { return arena_->groups() + id; }

  bool link_entry(Cache& cache, std::uint64_t hash, SlotId slot);
  void unlink_entry(Cache& cache, std::uint64_t hash, SlotId slot);
  Place place_of(std::uint64_t hash, SlotId slot) const;
  bool extend_chain(Cache& cache, IndexGroup& last);

  void grow(Cache& cache);
  void shrink(Cache& cache);
  bool append_group(Cache& cache);
  bool merge_last_group(Cache& cache);
  void drop_last_group(Cache& cache);
  bool make_directory(Cache& cache);
  void drop_directory(Cache& cache);
  void set_group_count(std::uint32_t count) {
    group_count_ = count;
    mask_ = std::bit_ceil(std::max(count, 1u)) - 1;
  }

  bool chain_is_full(const IndexGroup* chain) const;
  void gather(const IndexGroup* chain, Gathered& gathered) const;
  void scatter(std::span<const IndexEntry> entries, IndexGroup* chain, std::uint32_t& spare);
  void give_back_chain(Cache& cache, std::uint32_t first);
  template <typename Visit>
  void for_chain(const IndexGroup* chain, Visit&& visit) const;

  static constexpr std::uint32_t kInlineBlocks = 20;  // 124 groups; fills the table's second cache line
  static constexpr std::uint32_t kDirectoryOrder = 3;
  static constexpr std::uint32_t kDirectoryBlocks =
      (1u << kDirectoryOrder) * sizeof(IndexGroup) / sizeof(std::uint32_t);
  static constexpr std::uint32_t kGroupsMax = 1u << 26;  // what kOrderMax of the pool allows

  Arena* arena_ = nullptr;
  std::uint32_t* blocks_;   // see group(): inline_blocks_, or directory_
  std::uint32_t mask_ = 0;  // the least 2^k - 1 that is at least group_count_ - 1
  std::uint32_t group_count_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t hand_ = 0;  // the group that victim() examines next
  std::uint32_t entries_moved_ = 0;
  std::uint32_t number_ = 0;                    // in the arena's list of owners
  std::uint32_t directory_ = GroupPool::kNone;  // a block of 2^kDirectoryOrder groups that holds blocks_
  std::array<std::uint32_t, kInlineBlocks> inline_blocks_{};
};

}  // namespace evenkeel::engine

#include "engine/connection_table.inl.h"

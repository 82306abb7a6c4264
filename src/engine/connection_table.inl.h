// How connection_table.h works. Included by it alone.
#pragma once

#include "base/prefetch.h"
#include "engine/connection_table.h"

namespace evenkeel::engine {

#define EVENKEEL_TABLE_TEMPLATE \
  template <typename Key, typename Value, typename Hash, std::size_t HotValueBytes>
#define EVENKEEL_TABLE ConnectionTable<Key, Value, Hash, HotValueBytes>

// --- Lookup

EVENKEEL_TABLE_TEMPLATE
Value* EVENKEEL_TABLE::find(const Key& key, std::uint64_t hash) const {
  const std::uint8_t tag = tag_of(hash);
  const IndexGroup* group = home(hash);
  while (true) {
    for (std::uint32_t matches = group->match(tag); matches != 0; matches &= matches - 1) {
      const auto at = static_cast<std::uint32_t>(std::countr_zero(matches));
      Entry& entry = arena_->entry(SlotId{group->slots[at]});
      if (same(entry.key, key)) return &entry.value;
    }
    if (group->next == GroupPool::kNone) return nullptr;
    group = pooled_group(group->next);
  }
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::find_batch(std::span<const Query> queries, std::span<Value*> out) {
  struct All {
    const Query* first;
    const ConnectionTable& table(std::size_t i) const { return *first[i].table; }
    const Key& key(std::size_t i) const { return *first[i].key; }
    std::uint64_t hash(std::size_t i) const { return first[i].hash; }
  };
  find_batch(queries.size(), All{queries.data()}, out);
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::find_batch(std::span<const Key> keys, std::span<const std::uint64_t> hashes,
                                std::span<Value*> out) const {
  DCHECK(keys.size() == hashes.size());
  struct OfOneTable {
    const ConnectionTable* of;
    const Key* first_key;
    const std::uint64_t* first_hash;
    const ConnectionTable& table(std::size_t) const { return *of; }
    const Key& key(std::size_t i) const { return first_key[i]; }
    std::uint64_t hash(std::size_t i) const { return first_hash[i]; }
  };
  find_batch(keys.size(), OfOneTable{this, keys.data(), hashes.data()}, out);
}

// Three passes: load the groups; pick in each the first entry with the right tag, and load its slot; compare.
// What is not settled by that (a false tag, one lookup in 50; a chain) is looked up again one by one.
EVENKEEL_TABLE_TEMPLATE
template <typename Queries>
void EVENKEEL_TABLE::find_batch(std::size_t count, const Queries& queries, std::span<Value*> out) {
  DCHECK(count <= kFindBatchMax && out.size() >= count);
  if (count == 0) return;
  IndexGroup* const all_groups = queries.table(0).arena_->groups();
  Entry* const all_entries = queries.table(0).arena_->entries();
  std::array<const IndexGroup*, kFindBatchMax> groups;
  for (std::size_t i = 0; i < count; ++i) {
    groups[i] = all_groups + queries.table(i).home_id(queries.hash(i));
    base::prefetch(groups[i]);
  }
  std::array<Entry*, kFindBatchMax> candidates;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t matches = groups[i]->match(tag_of(queries.hash(i)));
    candidates[i] = nullptr;
    if (matches != 0) [[likely]] {
      const auto at = static_cast<std::uint32_t>(std::countr_zero(matches));
      candidates[i] = all_entries + groups[i]->slots[at];
      prefetch_entry(candidates[i]);
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (candidates[i] != nullptr && same(candidates[i]->key, queries.key(i))) [[likely]] {
      out[i] = &candidates[i]->value;
    } else if (candidates[i] == nullptr && groups[i]->next == GroupPool::kNone) {
      out[i] = nullptr;
    } else {
      out[i] = queries.table(i).find(queries.key(i), queries.hash(i));
    }
  }
}

// --- Insert and erase

EVENKEEL_TABLE_TEMPLATE
Value* EVENKEEL_TABLE::insert(Cache& cache, const Key& key, std::uint64_t hash) {
  const SlotId slot = cache.slots().take();
  if (slot == kNoSlot) return nullptr;
  if ((group_count_ == 0 && !append_group(cache)) || !link_entry(cache, hash, slot)) {
    cache.slots().give_back(slot);
    return nullptr;
  }
  Entry& entry = arena_->entry(slot);
  std::construct_at(&entry.key, key);
  std::construct_at(&entry.value);
  arena_->set_owner(slot, number_);
  ++size_;
  if (size_ > kGroupLoadMax * group_count_) grow(cache);
  return &entry.value;
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::erase(Cache& cache, SlotId slot) {
  CHECK(holds(slot));
  Entry& entry = arena_->entry(slot);
  unlink_entry(cache, arena_->hash()(entry.key), slot);
  std::destroy_at(&entry.value);
  arena_->set_owner(slot, 0);
  cache.slots().give_back(slot);
  --size_;
  shrink(cache);
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::clear(Cache& cache) {
  for_each([&](SlotId slot, const Key&, Value& value) {
    std::destroy_at(&value);
    arena_->set_owner(slot, 0);
    cache.slots().give_back(slot);
  });
  size_ = 0;
  for (std::uint32_t number = 0; number < group_count_; ++number) give_back_chain(cache, group(number)->next);
  while (group_count_ > 0) drop_last_group(cache);
}

// Enters a slot into the chain of its hash. False where the chain is full or no group is left for it.
EVENKEEL_TABLE_TEMPLATE
bool EVENKEEL_TABLE::link_entry(Cache& cache, std::uint64_t hash, SlotId slot) {
  IndexGroup* group = home(hash);
  std::uint32_t length = 1;
  for (; group->free_places() == 0; ++length) {
    if (length == kChainGroupsMax) return false;
    if (group->next == GroupPool::kNone && !extend_chain(cache, *group)) return false;
    group = pooled_group(group->next);
  }
  const auto at = static_cast<std::uint32_t>(std::countr_zero(group->free_places()));
  group->tags[at] = tag_of(hash);
  group->slots[at] = slot.value();
  return true;
}

EVENKEEL_TABLE_TEMPLATE
bool EVENKEEL_TABLE::extend_chain(Cache& cache, IndexGroup& last) {
  last.next = cache.groups().take(0);
  if (last.next == GroupPool::kNone) return false;
  *pooled_group(last.next) = IndexGroup{};
  return true;
}

EVENKEEL_TABLE_TEMPLATE
typename EVENKEEL_TABLE::Place EVENKEEL_TABLE::place_of(std::uint64_t hash, SlotId slot) const {
  IndexGroup* group = home(hash);
  while (true) {
    for (std::uint32_t matches = group->match(tag_of(hash)); matches != 0; matches &= matches - 1) {
      const auto at = static_cast<std::uint32_t>(std::countr_zero(matches));
      if (group->slots[at] == slot.value()) return {group, at};
    }
    CHECK(group->next != GroupPool::kNone);  // the slot is not of this table
    group = pooled_group(group->next);
  }
}

// Takes a slot out of its chain. All groups of a chain but the last stay full: an entry of the last one fills
// the hole, and a last group that is empty then goes back to the pool.
EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::unlink_entry(Cache& cache, std::uint64_t hash, SlotId slot) {
  const Place hole = place_of(hash, slot);
  IndexGroup* before_last = nullptr;
  IndexGroup* last = hole.group;
  while (last->next != GroupPool::kNone) {
    before_last = last;
    last = pooled_group(last->next);
  }
  if (last != hole.group) {
    const auto from = static_cast<std::uint32_t>(std::countr_zero(last->used_places()));
    hole.group->tags[hole.at] = last->tags[from];
    hole.group->slots[hole.at] = last->slots[from];
    last->tags[from] = IndexGroup::kFree;
  } else {
    last->tags[hole.at] = IndexGroup::kFree;
  }
  IndexGroup* const first = home(hash);
  if (last == first || last->used_places() != 0) return;
  // The hole may have been in the last group itself: find what links to it.
  if (before_last == nullptr) {
    for (before_last = first; pooled_group(before_last->next) != last;) {
      before_last = pooled_group(before_last->next);
    }
  }
  cache.groups().give_back(std::exchange(before_last->next, GroupPool::kNone), 0);
}

// --- Growing and shrinking

// Adds group n and moves to it, from the group that served its hashes so far, what belongs to it. Where no
// memory is left the table stays as it is: its chains become longer.
EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::grow(Cache& cache) {
  if (!append_group(cache)) return;
  const std::uint32_t number = group_count_ - 1;
  const std::uint32_t bit = std::bit_floor(number);
  IndexGroup* const source = group(number & (bit - 1));
  Gathered gathered;
  gather(source, gathered);
  for (const IndexEntry& entry : gathered.span()) base::prefetch(&arena_->entry(SlotId{entry.slot}).key);
  const auto goes =
      std::partition(gathered.span().begin(), gathered.span().end(), [&](const IndexEntry& entry) {
        return (arena_->hash()(arena_->entry(SlotId{entry.slot}).key) & bit) == 0;
      });
  // The two chains need at most one group more than the one had, and that is the new one.
  std::uint32_t spare = source->next;
  scatter({gathered.span().begin(), goes}, source, spare);
  scatter({goes, gathered.span().end()}, group(number), spare);
  give_back_chain(cache, spare);
  entries_moved_ += gathered.count;
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::shrink(Cache& cache) {
  if (size_ == 0) {
    while (group_count_ > 0) drop_last_group(cache);
  } else if (size_ < kGroupLoadMin * group_count_ && group_count_ > 1 && merge_last_group(cache)) {
    drop_last_group(cache);
  }
}

// Moves the entries of the last group to the one that will serve their hashes. False, and nothing done, where
// they do not fit into one chain or a group for it cannot be had; a later erase tries again.
EVENKEEL_TABLE_TEMPLATE
bool EVENKEEL_TABLE::merge_last_group(Cache& cache) {
  const std::uint32_t number = group_count_ - 1;
  IndexGroup* const last = group(number);
  IndexGroup* const target = group(number & (std::bit_floor(number) - 1));
  Gathered gathered;
  gather(target, gathered);
  gather(last, gathered);
  if (gathered.count > kMovesMax) return false;
  const std::uint32_t overflow_needed = (gathered.count - 1 + (gathered.count == 0)) / IndexGroup::kPlaces;
  if (overflow_needed > gathered.groups - 2) {
    IndexGroup* end = target;
    while (end->next != GroupPool::kNone) end = pooled_group(end->next);
    if (!extend_chain(cache, *end)) return false;
  }
  std::uint32_t spare = target->next;
  if (last->next != GroupPool::kNone) {
    std::uint32_t* link = &spare;
    while (*link != GroupPool::kNone) link = &pooled_group(*link)->next;
    *link = last->next;
  }
  scatter(gathered.span(), target, spare);
  give_back_chain(cache, spare);
  entries_moved_ += gathered.count;
  return true;
}

// Makes group `group_count_`, empty. False where no memory is left.
EVENKEEL_TABLE_TEMPLATE
bool EVENKEEL_TABLE::append_group(Cache& cache) {
  const std::uint32_t number = group_count_;
  if (number == kGroupsMax) return false;
  const auto [block, order] = block_of(number);
  if (is_first_of_block(number, order)) {
    if (block == kInlineBlocks && !make_directory(cache)) return false;
    const std::uint32_t first = cache.groups().take(order);
    if (first == GroupPool::kNone) {
      if (block == kInlineBlocks) drop_directory(cache);
      return false;
    }
    set_block(block, first);
  }
  set_group_count(number + 1);
  *group(number) = IndexGroup{};
  return true;
}

// The last group's entries are gone already.
EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::drop_last_group(Cache& cache) {
  const std::uint32_t number = group_count_ - 1;
  const auto [block, order] = block_of(number);
  set_group_count(number);
  if (!is_first_of_block(number, order)) return;
  cache.groups().give_back(block_at(block), order);
  set_block(block, GroupPool::kNone);
  if (block == kInlineBlocks) drop_directory(cache);
}

// A table of more than kInlineBlocks keeps its list of blocks in a block of its own.
EVENKEEL_TABLE_TEMPLATE
bool EVENKEEL_TABLE::make_directory(Cache& cache) {
  directory_ = cache.groups().take(kDirectoryOrder);
  if (directory_ == GroupPool::kNone) return false;
  blocks_ = reinterpret_cast<std::uint32_t*>(pooled_group(directory_));
  std::copy(inline_blocks_.begin(), inline_blocks_.end(), blocks_);
  return true;
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::drop_directory(Cache& cache) {
  blocks_ = inline_blocks_.data();  // what the directory's first part holds stands here still
  cache.groups().give_back(std::exchange(directory_, GroupPool::kNone), kDirectoryOrder);
}

// --- Chains

EVENKEEL_TABLE_TEMPLATE
bool EVENKEEL_TABLE::chain_is_full(const IndexGroup* chain) const {
  while (chain->free_places() == 0) {
    if (chain->next == GroupPool::kNone) return true;
    chain = pooled_group(chain->next);
  }
  return false;
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::gather(const IndexGroup* chain, Gathered& gathered) const {
  while (true) {
    ++gathered.groups;
    for (std::uint32_t used = chain->used_places(); used != 0; used &= used - 1) {
      const auto at = static_cast<std::uint32_t>(std::countr_zero(used));
      gathered.entries[gathered.count++] = {chain->tags[at], chain->slots[at]};
    }
    if (chain->next == GroupPool::kNone) return;
    chain = pooled_group(chain->next);
  }
}

// Writes the entries, and no others, into a chain that begins with `group` and goes on in groups taken from
// the list `spare`.
EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::scatter(std::span<const IndexEntry> entries, IndexGroup* group, std::uint32_t& spare) {
  while (true) {
    const std::size_t count = std::min<std::size_t>(entries.size(), IndexGroup::kPlaces);
    for (std::size_t at = 0; at < IndexGroup::kPlaces; ++at) {
      group->tags[at] = at < count ? entries[at].tag : IndexGroup::kFree;
      if (at < count) group->slots[at] = entries[at].slot;
    }
    entries = entries.subspan(count);
    group->next = entries.empty() ? GroupPool::kNone : spare;
    if (entries.empty()) return;
    group = pooled_group(spare);
    spare = group->next;
  }
}

EVENKEEL_TABLE_TEMPLATE
void EVENKEEL_TABLE::give_back_chain(Cache& cache, std::uint32_t first) {
  while (first != GroupPool::kNone) {
    const std::uint32_t next = pooled_group(first)->next;
    cache.groups().give_back(first, 0);
    first = next;
  }
}

// --- All entries, and the one to give up

EVENKEEL_TABLE_TEMPLATE
template <typename Function>
void EVENKEEL_TABLE::for_each(Function&& function) const {
  for (std::uint32_t number = 0; number < group_count_; ++number) {
    for_chain(group(number),
              [&](SlotId slot, Entry& entry) { function(slot, std::as_const(entry.key), entry.value); });
  }
}

// Calls visit(slot, entry) for each entry of a chain, all of which are prefetched first.
EVENKEEL_TABLE_TEMPLATE
template <typename Visit>
void EVENKEEL_TABLE::for_chain(const IndexGroup* chain, Visit&& visit) const {
  Gathered gathered;
  gather(chain, gathered);
  for (const IndexEntry& entry : gathered.span()) prefetch_entry(&arena_->entry(SlotId{entry.slot}));
  for (const IndexEntry& entry : gathered.span())
    visit(SlotId{entry.slot}, arena_->entry(SlotId{entry.slot}));
}

EVENKEEL_TABLE_TEMPLATE
template <typename GoesBefore>
SlotId EVENKEEL_TABLE::victim(std::uint64_t hash, std::uint32_t examine, GoesBefore&& goes_before) {
  Value* best = nullptr;
  std::uint32_t examined = 0;
  const auto examine_entry = [&](SlotId, Entry& entry) {
    ++examined;
    if (best == nullptr || goes_before(std::as_const(entry.value), std::as_const(*best))) best = &entry.value;
  };
  if (size_ == 0) return kNoSlot;
  if (chain_is_full(home(hash))) {
    for_chain(home(hash), examine_entry);
    return slot_of(*best);
  }
  for (std::uint32_t turn = 0; turn < group_count_ && (examined < examine || best == nullptr); ++turn) {
    if (hand_ >= group_count_) hand_ = 0;
    for_chain(group(hand_++), examine_entry);
  }
  return slot_of(*best);
}

#undef EVENKEEL_TABLE_TEMPLATE
#undef EVENKEEL_TABLE

}  // namespace evenkeel::engine

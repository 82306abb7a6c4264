// The laws of every policy's plans, on random snapshots. RapidCheck prints the seed that replays a failure.
#include "evenkeel/policy.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "base/random.h"

namespace evenkeel {
namespace {

// A snapshot with the memory that it refers to.
struct World {
  std::vector<double> load, usage, backlog, capacity;
  std::vector<ProcessorId> owner;
  std::unique_ptr<bool[]> pinned;

  Snapshot snapshot() const {
    return {.bucket_load = load,
            .owner = owner,
            .usage = usage,
            .backlog = backlog,
            .capacity = capacity,
            .pinned = pinned ? std::span<const bool>(pinned.get(), load.size()) : std::span<const bool>()};
  }
  double level(std::size_t processor, double of) const { return of / capacity[processor]; }
};

World level_world(std::size_t buckets, std::size_t processors) {
  World world;
  world.load.assign(buckets, 0.5 * static_cast<double>(processors) / static_cast<double>(buckets));
  world.capacity.assign(processors, 1);
  world.owner.resize(buckets);
  EXPECT_TRUE(assign_by_capacity(world.capacity, world.owner));
  return world;
}

// Loads of several shapes: level, spread, heavy-tailed, with silent buckets, with an elephant.
double draw_load(base::Random& random, int shape) {
  switch (shape) {
    case 0:
      return 1;
    case 1:
      return random.uniform();
    case 2:
      return std::exp(random.normal());
    case 3:
      return std::pow(random.uniform() + 1e-4, -0.9);
    default:
      return random.below(3) == 0 ? 0 : std::exp(2 * random.normal());
  }
}

World draw_world() {
  base::Random random(*rc::gen::arbitrary<std::uint64_t>());
  World world;
  const std::size_t processors = 1 + random.below(12);
  const std::size_t buckets = 1 + random.below(200);
  const int shape = static_cast<int>(random.below(5));
  const bool same = random.below(2) == 0, any_owner = random.below(2) == 0;
  double total = 0, capacity = 0;
  for (std::size_t i = 0; i < processors; ++i) {
    world.capacity.push_back(same ? 1 : 0.25 + 0.25 * static_cast<double>(random.below(8)));
    capacity += world.capacity.back();
  }
  for (std::size_t j = 0; j < buckets; ++j) {
    world.load.push_back(draw_load(random, shape));
    world.owner.push_back(
        ProcessorId(static_cast<std::uint32_t>(any_owner ? random.below(processors) : j % processors)));
    total += world.load.back();
  }
  if (total == 0) world.load[0] = total = 1;
  for (double& load : world.load) load *= 0.6 * capacity / total;
  if (random.below(3) == 0)
    for (std::size_t i = 0; i < processors; ++i) world.backlog.push_back(random.uniform());
  return world;
}

PolicyOptions draw_options() {
  return *rc::gen::arbitrary<bool>() ? PolicyOptions::running() : PolicyOptions::quality();
}

Plan plan_with(std::string_view name, const World& world, const PolicyOptions& options = {}) {
  auto policy = make_policy(name, options);
  EXPECT_TRUE(policy.ok());
  Plan plan;
  const auto result = (*policy)->plan(world.snapshot(), plan);
  EXPECT_TRUE(result.ok()) << (result ? "" : result.error().message);
  return plan;
}

std::vector<ProcessorId> owners_after(const World& world, const Plan& plan) {
  std::vector<ProcessorId> owner = world.owner;
  for (const Move& move : plan.moves) owner[move.bucket.value()] = move.to;
  return owner;
}

class EveryPolicy : public testing::TestWithParam<std::string_view> {};
INSTANTIATE_TEST_SUITE_P(Named, EveryPolicy, testing::ValuesIn(policy_names()),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(EveryPolicy, MovesEachBucketAtMostOnceAndFromItsOwner) {
  EXPECT_TRUE(rc::check([&] {
    const World world = draw_world();
    const Plan plan = plan_with(GetParam(), world, draw_options());
    std::set<BucketId> moved;
    for (const Move& move : plan.moves) {
      RC_ASSERT(moved.insert(move.bucket).second);
      RC_ASSERT(world.owner[move.bucket.value()] == move.from);
      RC_ASSERT(move.from != move.to);
      RC_ASSERT(move.to.value() < world.capacity.size());
      RC_ASSERT(move.load == world.load[move.bucket.value()]);
    }
  }));
}

TEST_P(EveryPolicy, ConservesLoad) {
  EXPECT_TRUE(rc::check([&] {
    const World world = draw_world();
    const Plan plan = plan_with(GetParam(), world, draw_options());
    double before = 0, after = 0;
    for (const ProcessorDetail& processor : plan.processors) {
      before += processor.load;
      after += processor.after;
    }
    RC_ASSERT(std::abs(before - after) <= 1e-9 * before);
  }));
}

TEST_P(EveryPolicy, EmptiesAProcessorWithoutCapacity) {
  EXPECT_TRUE(rc::check([&] {
    World world = draw_world();
    RC_PRE(world.capacity.size() > 1);
    const std::size_t gone = *rc::gen::inRange<std::size_t>(0, world.capacity.size());
    world.capacity[gone] = 0;
    world.backlog.clear();
    const Plan plan = plan_with(GetParam(), world, draw_options());
    for (const ProcessorId owner : owners_after(world, plan)) RC_ASSERT(owner.value() != gone);
    RC_ASSERT(plan.processors[gone].after < 1e-9);
  }));
}

TEST_P(EveryPolicy, LeavesPinnedBucketsWhereTheyAre) {
  EXPECT_TRUE(rc::check([&] {
    World world = draw_world();
    base::Random random(*rc::gen::arbitrary<std::uint64_t>());
    world.pinned = std::make_unique<bool[]>(world.load.size());
    for (std::size_t j = 0; j < world.load.size(); ++j) world.pinned[j] = random.below(2) == 0;
    const Plan plan = plan_with(GetParam(), world, draw_options());
    for (const Move& move : plan.moves) RC_ASSERT(!world.pinned[move.bucket.value()]);
  }));
}

TEST_P(EveryPolicy, RefusesWhatIsNoLoad) {
  auto policy = make_policy(GetParam());
  ASSERT_TRUE(policy.ok());
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double bad : {-1.0, infinite, -infinite, std::nan("")}) {
    for (auto field : {&World::load, &World::usage, &World::backlog, &World::capacity}) {
      World world = level_world(8, 2);
      world.usage = {0.5, 0.5};
      world.backlog = {0, 0};
      (world.*field)[1] = bad;
      Plan plan;
      const auto result = (*policy)->plan(world.snapshot(), plan);
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
      EXPECT_NE(result.error().message.find("must be"), std::string::npos) << result.error().message;
    }
  }
}

TEST_P(EveryPolicy, RefusesWhatDoesNotFitTogether) {
  auto policy = make_policy(GetParam());
  ASSERT_TRUE(policy.ok());
  Plan plan;
  World world = level_world(8, 2);
  world.capacity = {0, 0};
  EXPECT_FALSE((*policy)->plan(world.snapshot(), plan).ok());
  world = level_world(8, 2);
  world.owner[3] = ProcessorId(2);
  EXPECT_FALSE((*policy)->plan(world.snapshot(), plan).ok());
  world = level_world(8, 2);
  world.usage = {1};
  EXPECT_FALSE((*policy)->plan(world.snapshot(), plan).ok());
  world = level_world(8, 2);
  world.owner.pop_back();
  EXPECT_FALSE((*policy)->plan(world.snapshot(), plan).ok());
  EXPECT_FALSE((*policy)->plan({}, plan).ok());
}

TEST_P(EveryPolicy, HasNothingToMoveWhereThereIsNoLoad) {
  World world = level_world(64, 4);
  std::fill(world.load.begin(), world.load.end(), 0.0);
  EXPECT_TRUE(plan_with(GetParam(), world).moves.empty());
}

TEST(MakePolicy, NamesWhatThereIsWhenAskedForWhatThereIsNot) {
  const auto policy = make_policy("fair");
  ASSERT_FALSE(policy.ok());
  EXPECT_EQ(policy.error().kind, ErrorKind::kUsage);
  EXPECT_NE(policy.error().message.find("index"), std::string::npos);
}

TEST(MakePolicy, RefusesToStartBelowWhereItEnds) {
  EXPECT_FALSE(make_policy("index", {.trigger = 0.01, .hysteresis = 0.02}).ok());
  EXPECT_FALSE(make_policy("index", {.trigger = -1}).ok());
  EXPECT_FALSE(make_policy("index", {.move_cost = std::nan("")}).ok());
}

TEST(Index, NeverMakesTheWorstProcessorWorse) {
  EXPECT_TRUE(rc::check([] {
    const World world = draw_world();
    const Plan plan = plan_with("index", world, draw_options());
    RC_ASSERT(plan.max_over_mean_after <= plan.max_over_mean_before * (1 + 1e-9));
    RC_ASSERT(plan.max_over_mean_after >= plan.lower_bound * (1 - 1e-9));
  }));
}

TEST(Index, LeavesEqualLoadsAlone) {
  for (const std::size_t processors : {1, 2, 3, 8, 64})
    for (const auto& options : {PolicyOptions::running(), PolicyOptions::quality()})
      EXPECT_TRUE(plan_with("index", level_world(processors * 16, processors), options).moves.empty());
}

TEST(Index, SharesOutItsPoolByIndex) {
  EXPECT_TRUE(rc::check([] {
    const World world = draw_world();
    const Plan plan = plan_with("index", world, draw_options());
    double quotas = 0, pool = 0;
    for (const ProcessorDetail& processor : plan.processors) quotas += processor.quota;
    for (const ProcessorDetail& processor : plan.processors) {
      RC_ASSERT(processor.index == std::max(0.0, processor.target - processor.load));
      RC_ASSERT(std::abs(processor.quota * plan.total_index - quotas * processor.index) <=
                1e-9 * (1 + plan.total_index * plan.total_index));
      pool += std::max(0.0, processor.load - processor.target);
    }
    RC_ASSERT(quotas <= pool * (1 + 1e-9) + 1e-12);
  }));
}

TEST(Index, GivesAnElephantAProcessorForItself) {
  World world = level_world(64, 4);
  world.load[5] = 1.5;  // more than a quarter of everything
  const Plan plan = plan_with("index", world, PolicyOptions::quality());
  const auto owner = owners_after(world, plan);
  EXPECT_EQ(owner[5], world.owner[5]) << "its neighbours leave, not the elephant";
  for (std::size_t j = 0; j < owner.size(); ++j)
    EXPECT_TRUE(j == 5 || owner[j] != owner[5]) << "bucket " << j;
  EXPECT_DOUBLE_EQ(plan.max_over_mean_after, plan.lower_bound);
}

TEST(AssignByCapacity, DealsOutBucketsInProportion) {
  std::vector<ProcessorId> owner(600);
  ASSERT_TRUE(assign_by_capacity(std::vector<double>{1, 0.5, 0, 1.5}, owner).ok());
  std::vector<int> count(4);
  for (const ProcessorId id : owner) ++count[id.value()];
  EXPECT_EQ(count, (std::vector<int>{200, 100, 0, 300}));
}

TEST(AssignByCapacity, WithEqualCapacitiesIsRoundRobin) {
  std::vector<ProcessorId> owner(30);
  ASSERT_TRUE(assign_by_capacity(std::vector<double>(7, 1.0), owner).ok());
  for (std::uint32_t j = 0; j < owner.size(); ++j) EXPECT_EQ(owner[j], ProcessorId(j % 7));
}

}  // namespace
}  // namespace evenkeel

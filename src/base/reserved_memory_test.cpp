#include "base/reserved_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

namespace evenkeel::base {
namespace {

TEST(ReservedMemory, IsZeroedAndAlignedAndAsLargeAsAsked) {
  for (const PageSize pages : {PageSize::kOrdinary, PageSize::kHuge}) {
    Result<ReservedMemory> memory = ReservedMemory::reserve(100'000, pages);
    ASSERT_TRUE(memory.ok());
    ASSERT_GE(memory->size(), 100'000u);
    const std::size_t alignment = pages == PageSize::kHuge ? 2u << 20 : 4096u;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->data()) % alignment, 0u);
    const std::span bytes(memory->data(), memory->size());
    EXPECT_TRUE(std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; }));
    memory->data()[memory->size() - 1] = std::byte{1};
  }
}

TEST(ReservedMemory, PopulatingKeepsWhatWasWritten) {
  Result<ReservedMemory> memory = ReservedMemory::reserve(100'000, PageSize::kOrdinary);
  ASSERT_TRUE(memory.ok());
  memory->data()[5'000] = std::byte{42};
  ASSERT_TRUE(memory->populate().ok());
  EXPECT_EQ(memory->data()[5'000], std::byte{42});
}

TEST(ReservedMemory, MoreThanTheSystemHasIsAnError) {
  const Result<ReservedMemory> memory = ReservedMemory::reserve(std::size_t{1} << 60, PageSize::kOrdinary);
  ASSERT_FALSE(memory.ok());
  EXPECT_NE(memory.error().message.find("cannot reserve"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::base

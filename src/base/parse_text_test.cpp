#include "base/parse_text.h"

#include <gtest/gtest.h>

namespace evenkeel::base {
namespace {

TEST(ParseDuration, TakesEveryUnitAndFractions) {
  EXPECT_EQ(*parse_duration("0s"), 0);
  EXPECT_EQ(*parse_duration("10ns"), 10);
  EXPECT_EQ(*parse_duration("250us"), 250'000);
  EXPECT_EQ(*parse_duration("1ms"), 1'000'000);
  EXPECT_EQ(*parse_duration("1.5s"), 1'500'000'000);
  EXPECT_EQ(*parse_duration("2m"), 120'000'000'000);
  EXPECT_EQ(*parse_duration("1h"), 3'600'000'000'000);
}

TEST(ParseDuration, RefusesEverythingElseAsUsage) {
  for (const char* text : {"", "s", "10", "-1s", "1 s", "1sec", "nan", "inf", "nans", "1e300h", "1h2m"}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
  }
}

TEST(ParseCpuList, TakesNumbersAndRanges) {
  EXPECT_EQ(*parse_cpu_list("3"), (std::vector<std::uint32_t>{3}));
  EXPECT_EQ(*parse_cpu_list("0,2-4"), (std::vector<std::uint32_t>{0, 2, 3, 4}));
}

TEST(ParseCpuList, RefusesEverythingElseAsUsage) {
  for (const char* text : {"", ",", "1,", "a", "1-", "3-1", "-1", "1;2", "99999999999", "0-4096"}) {
    const auto parsed = parse_cpu_list(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::kUsage);
  }
}

TEST(ParseCount, TakesWholeNumbersAndTheirThousands) {
  EXPECT_EQ(parse_count("0"), 0u);
  EXPECT_EQ(parse_count("200k"), 200'000u);
  EXPECT_EQ(parse_count("18446744073709551615"), UINT64_MAX);
  for (const char* text :
       {"", "k", "-1", "1.5", "1e3", "5kk", "5K", " 5", "18446744073709551616", "18446744073709551615k"})
    EXPECT_FALSE(parse_count(text)) << text;
}

TEST(IsUtf8, TellsTextFromBytes) {
  for (const char* text : {"", "eth0", "\x1b[31m", "Straße", "日本", "😀"}) EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* bytes : {"v\xff", "\x80", "\xc3", "\xc3\xc3", "\xe6\x97", "a\xf8\x80\x80\x80\x80"})
    EXPECT_FALSE(is_utf8(bytes)) << bytes;
}

}  // namespace
}  // namespace evenkeel::base

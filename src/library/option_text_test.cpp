// Options by name and text: each arrives where the run looks for it, and what is refused names it and its
// range.
#include "library/option_text.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "library/engine_options.h"

namespace evenkeel::library {
namespace {

using namespace std::chrono_literals;

Options options_of(const std::vector<std::pair<std::string, std::string>>& texts) {
  Options options;
  for (const auto& [name, text] : texts) {
    const auto set = set_option(options, name, text);
    EXPECT_TRUE(set.ok()) << set.error().message;
  }
  return options;
}

std::string refusal(const std::string& name, const std::string& text) {
  Options options;
  const auto set = set_option(options, name, text);
  if (set.ok()) return "accepted";
  EXPECT_EQ(set.error().kind, ErrorKind::kUsage);
  return set.error().message;
}

TEST(OptionText, InputsAndTheirOptions) {
  const Options options = options_of({{"input", "a.pcap"},
                                      {"input", "b.pcap"},
                                      {"filter", "tcp"},
                                      {"snaplen", "96"},
                                      {"xdp-mode", "consume"},
                                      {"speed", "2.5"},
                                      {"duration", "5s"}});
  EXPECT_EQ(options.inputs, (std::vector<std::string>{"a.pcap", "b.pcap"}));
  EXPECT_EQ(options.filter, "tcp");
  EXPECT_EQ(options.snap_length, 96u);
  EXPECT_EQ(options.xdp_mode, "consume");
  EXPECT_EQ(options.speed, 2.5);
  EXPECT_EQ(options.duration, 5s);
  EXPECT_FALSE(options_of({{"speed", "2"}, {"speed", "max"}}).speed);
}

TEST(OptionText, WhatTheRunIsToldOfConnectionsAndBalance) {
  const auto run = run_options(options_of({{"workers", "4"},
                                           {"buckets", "64"},
                                           {"hash", "crc32c"},
                                           {"policy", "lpt"},
                                           {"interval", "20ms"},
                                           {"pin", "0,2-3"},
                                           {"capacity", "1,1,0.5,2"},
                                           {"tunnel", "inner"},
                                           {"idle-timeout", "7s"},
                                           {"half-open-timeout", "3s"},
                                           {"connections-max", "5000"},
                                           {"seed", "9"}}));
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->workers, 4u);
  EXPECT_EQ(run->buckets, 64u);
  EXPECT_EQ(run->hash, "crc32c");
  EXPECT_EQ(run->policy, "lpt");
  EXPECT_EQ(run->interval_ns, 20'000'000);
  EXPECT_EQ(run->pin, (std::vector<std::uint32_t>{0, 2, 3}));
  EXPECT_EQ(run->capacity, (std::vector<double>{1, 1, 0.5, 2}));
  EXPECT_TRUE(run->inner_tunnel);
  EXPECT_EQ(run->idle_timeout_ns, 7'000'000'000);
  EXPECT_EQ(run->half_open_timeout_ns, 3'000'000'000);
  EXPECT_EQ(run->connections_max, 5000u);
  EXPECT_EQ(run->seed, 9u);
}

TEST(OptionText, WhatTheRunIsToldOfQueuesAndElephants) {
  const auto run = run_options(options_of({{"queueing", "fifo"},
                                           {"quantum", "10us"},
                                           {"queue-limit-worker", "1000"},
                                           {"queue-limit-bucket", "300"},
                                           {"queue-limit-connection", "200"},
                                           {"elephant-bytes", "200M"},
                                           {"elephant-window", "4s"},
                                           {"elephant-share", "0.25"}}));
  ASSERT_TRUE(run.ok());
  EXPECT_EQ(run->queueing.discipline, engine::Discipline::kFifo);
  EXPECT_EQ(run->queueing.quantum_ns, 10'000);
  EXPECT_EQ(run->queueing.limits.worker_packets, 1000u);
  EXPECT_EQ(run->queueing.limits.bucket_packets, 300u);
  EXPECT_EQ(run->queueing.limits.connection_packets, 200u);
  EXPECT_EQ(run->elephants.window_bytes, 200'000'000u);
  EXPECT_EQ(run->elephants.window_ns, 4'000'000'000);
  EXPECT_EQ(run->elephants.worker_share, 0.25);
}

TEST(OptionText, DefaultsAreThoseOfTheEngine) {
  const auto run = run_options(Options());
  ASSERT_TRUE(run.ok());
  const runtime::RunOptions defaults;
  EXPECT_EQ(run->queueing.limits.worker_packets, defaults.queueing.limits.worker_packets);
  EXPECT_EQ(run->queueing.limits.bucket_packets, defaults.queueing.limits.bucket_packets);
  EXPECT_EQ(run->queueing.limits.connection_packets, defaults.queueing.limits.connection_packets);
  EXPECT_EQ(run->elephants.window_bytes, defaults.elephants.window_bytes);
  EXPECT_EQ(run->elephants.window_ns, defaults.elephants.window_ns);
  EXPECT_EQ(run->elephants.worker_share, defaults.elephants.worker_share);
}

TEST(OptionText, ARefusalNamesTheOptionAndWhatItTakes) {
  EXPECT_EQ(refusal("workers", "1025"), "workers: takes 1 to 1024, not '1025'");
  EXPECT_EQ(refusal("workers", "99999999999"), "workers: takes 1 to 1024, not '99999999999'");
  EXPECT_EQ(refusal("workers", "-1"), "workers: takes 1 to 1024, not '-1'");
  EXPECT_EQ(refusal("buckets", "1000"), "buckets: takes a power of two from 1 to 65536, not '1000'");
  EXPECT_EQ(refusal("connections-max", "0"), "connections-max: takes 1 to 33000000, not '0'");
  EXPECT_EQ(refusal("interval", "2h"), "interval: takes 1ms to 1h, not 2h");
  EXPECT_EQ(refusal("idle-timeout", "0s"), "idle-timeout: takes 1ns to 2160h, not 0ns");
  EXPECT_EQ(refusal("capacity", "1,0"), "capacity: takes 0.001 to 1000000, not '0'");
  EXPECT_EQ(refusal("speed", "nan"), "speed: takes 1e-06 to 1000000000, not 'nan'");
  EXPECT_EQ(refusal("elephant-share", "1.5"), "elephant-share: takes 0 to 1, not '1.5'");
  EXPECT_EQ(refusal("elephant-bytes", "1x"), "elephant-bytes: takes 1 to 1000000000000000, not '1x'");
  EXPECT_EQ(refusal("queue-limit-bucket", "0"), "queue-limit-bucket: takes 1 to 1000000, not '0'");
  EXPECT_TRUE(refusal("interval", "5").starts_with("interval: '5' is not a duration: "));
  EXPECT_TRUE(refusal("pin", "x").starts_with("pin: 'x' is not a list of CPUs: "));
  EXPECT_TRUE(refusal("wrokers", "1").starts_with("there is no option 'wrokers': one of input, filter, "));
}

}  // namespace
}  // namespace evenkeel::library

// What an engine is made of. All of it has defaults but where the packets come from.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evenkeel/actuator.h"
#include "evenkeel/policy.h"
#include "evenkeel/source.h"

namespace evenkeel {

struct Options {
  // Captures and built-in traffic, as `evenkeel run --input` takes them: "FILE", "-",
  // "generator:campus,packets=100000"; several are merged by packet time. Or live interfaces:
  // "af_packet:eth0".
  std::vector<std::string> inputs = {};
  std::string filter = {};        // of inputs: only packets that match, as in "tcp port 443" (pcap-filter(7))
  std::uint32_t snap_length = 0;  // of live interfaces: bytes kept of each packet; 0: all
  // "consume" allows inputs as "af_xdp:eth0", which take packets from this machine's own network stack.
  std::string xdp_mode = "tap";
  // Sources of the author's own. Each has a dispatcher, a thread of its own; packets of one connection should
  // come from one source, as between two of them there is no order. A source feeds one engine at a time. With
  // them, filter, speed and duration are usage errors: those are of inputs, and a source of one's own leaves
  // away, paces and ends by itself.
  std::vector<std::shared_ptr<Source>> sources = {};

  std::uint32_t workers = 2;                              // threads that serve packets: 1 to kProcessorsMax
  std::uint32_t buckets = 1024;                           // a power of two, up to kBucketsMax
  std::uint32_t connections_max = 1'000'000;              // beyond, the longest idle of a few is evicted
  std::chrono::nanoseconds idle_timeout{60'000'000'000};  // a connection ends after this, in packet time
  // The same for a TCP connection whose handshake is not complete; not longer than idle_timeout in effect.
  std::chrono::nanoseconds half_open_timeout{30'000'000'000};

  std::string hash = "toeplitz";  // or "crc32c"
  std::string hash_key = {};      // of toeplitz: "" is symmetric; "standard"; or hexadecimal digits
  bool inner_tunnel = false;      // of tunnelled packets, take the connection inside

  // How buckets are assigned to workers: a name of policy_names(), or a policy of the author's own, which is
  // called by one thread, and so belongs to one engine at a time. A plan that cannot be (a bucket moved
  // twice, from another than its owner, to a worker that is not there) ends the run with a runtime error.
  std::string policy = "index";
  std::shared_ptr<Policy> own_policy = {};
  std::chrono::nanoseconds rebalance_interval{100'000'000};
  // Stands between the policy and the engine's own actuator, which it is given: to watch plans, to hold them
  // back, to tell them to others. The engine's outlives it.
  std::function<std::shared_ptr<Actuator>(Actuator& engine)> own_actuator = {};

  std::string queueing = "fair";             // how packets that wait are served; "fifo", "weighted"
  std::chrono::nanoseconds quantum{50'000};  // what a connection may use at a time while others wait
  std::string queueing_rules = {};           // path of the weights of "weighted": docs/queueing.md
  // Packets that may wait: at a worker; of one bucket (nothing: half of that); of one connection (nothing: a
  // quarter of it).
  std::uint32_t queue_limit_worker = 8192;
  std::optional<std::uint32_t> queue_limit_bucket = {}, queue_limit_connection = {};

  // From what on a connection is an elephant(), and in the report: more bytes than this within the window of
  // packet time, or a greater share of its worker's time.
  std::uint64_t elephant_bytes = 1'000'000'000;
  std::chrono::nanoseconds elephant_window{10'000'000'000};
  double elephant_share = 0.5;

  std::optional<double> speed = {};  // of inputs, against their packet times; nothing: all
  std::optional<std::chrono::nanoseconds> duration = {};  // of inputs, in packet time; live: in real time

  std::optional<std::vector<std::uint32_t>> pin = {};  // CPUs; empty: no thread is pinned; nothing: where
                                                       // there are CPUs enough
  std::vector<double> capacity = {};                   // of each worker, relative; empty: as their CPUs are
  std::uint64_t seed = 1;                              // of generated traffic and of the connection tables
};

}  // namespace evenkeel

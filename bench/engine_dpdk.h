// Peers of the engine's handoff from DPDK: rte_distributor, the event devices sw, dsw and opdl with atomic
// flows, and a bare rte_ring. Each hands descriptors from this thread to another (engine_handoff.h); none of
// them hashes the packet or looks its bucket up: the flow's number is given with it.
#pragma once

#include <rte_distributor.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eventdev.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <rte_service.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/engine_handoff.h"

namespace evenkeel::bench {

// The environment without huge pages, devices or files of its own. False where it cannot be had.
inline bool start_dpdk(const std::array<std::uint32_t, 2>& cpus) {
  std::string cores = std::to_string(cpus[0]) + "," + std::to_string(cpus[1]);
  std::vector<std::string> words = {"bench_engine",
                                    "-l",
                                    cores,
                                    "--no-huge",
                                    "-m",
                                    "256",
                                    "--no-pci",
                                    "--no-telemetry",
                                    "--no-shconf",
                                    "--log-level=warning",
                                    "--vdev=event_sw0",
                                    "--vdev=event_dsw0",
                                    "--vdev=event_opdl0"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  return rte_eal_init(static_cast<int>(words.size()), arguments.data()) >= 0;
}

// A descriptor of DPDK's for each of ours.
inline std::vector<rte_mbuf> mbufs_of(std::span<Packet> packets) {
  std::vector<rte_mbuf> mbufs(packets.size());
  for (std::size_t i = 0; i < packets.size(); ++i) {
    mbufs[i].buf_addr = &packets[i];
    mbufs[i].hash.usr = packets[i].hash | 1;  // 0 would be a flow of no packet
  }
  return mbufs;
}

class RteRing final : public Handoff {
 public:
  RteRing() : ring_(rte_ring_create("bench", 4096, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ)) {}
  std::string name() const override { return "rte_ring, single producer and consumer"; }
  bool usable() const override { return ring_ != nullptr; }
  std::size_t give(std::span<Packet* const> burst) override {
    return rte_ring_sp_enqueue_burst(ring_, reinterpret_cast<void* const*>(burst.data()),
                                     static_cast<unsigned>(burst.size()), nullptr);
  }
  std::size_t take(Touched& touched) override {
    std::array<void*, kBatch> taken;
    const unsigned count = rte_ring_sc_dequeue_burst(ring_, taken.data(), kBatch, nullptr);
    for (unsigned i = 0; i < count; ++i) touched.touch(taken[i]);
    return count;
  }

 private:
  rte_ring* ring_;
};

class Distributor final : public Handoff {
 public:
  explicit Distributor(std::span<Packet> packets)
      : first_(packets.data()),
        mbufs_(mbufs_of(packets)),
        distributor_(rte_distributor_create("bench", SOCKET_ID_ANY, 1, RTE_DIST_ALG_BURST)) {}
  std::string name() const override { return "rte_distributor, burst"; }
  bool usable() const override { return distributor_ != nullptr; }
  void fill(std::span<Packet* const> burst, std::uint64_t number) override {
    for (const Packet* packet : burst) {
      rte_mbuf& mbuf = mbufs_[static_cast<std::size_t>(packet - first_)];
      mbuf.pkt_len = static_cast<std::uint32_t>(number++);
      mbuf.data_len = 60;
    }
  }
  std::size_t give(std::span<Packet* const> burst) override {
    std::array<rte_mbuf*, kBatch> batch;
    for (std::size_t i = 0; i < burst.size(); ++i)
      batch[i] = &mbufs_[static_cast<std::size_t>(burst[i] - first_)];
    // It takes none before its worker has asked for the first time.
    const int given =
        rte_distributor_process(distributor_, batch.data(), static_cast<unsigned>(burst.size()));
    rte_distributor_returned_pkts(distributor_, returned_.data(), static_cast<unsigned>(returned_.size()));
    return static_cast<std::size_t>(given);
  }
  // What it still holds goes out only when it is called.
  void push_on() override { rte_distributor_process(distributor_, nullptr, 0); }
  std::size_t take(Touched& touched) override {
    const int count = rte_distributor_poll_pkt(distributor_, 0, held_.data());
    if (count <= 0) {
      // Asks for more, and gives back what it was given before.
      if (!asked_) rte_distributor_request_pkt(distributor_, 0, held_.data(), held_count_);
      asked_ = true;
      return 0;
    }
    for (int i = 0; i < count; ++i) touched.touch(held_[static_cast<std::size_t>(i)]);
    held_count_ = static_cast<unsigned>(count);
    rte_distributor_request_pkt(distributor_, 0, held_.data(), held_count_);
    return static_cast<std::size_t>(count);
  }

 private:
  Packet* first_;
  std::vector<rte_mbuf> mbufs_;
  rte_distributor* distributor_;
  std::array<rte_mbuf*, 128> returned_{};
  std::array<rte_mbuf*, 8> held_{};
  unsigned held_count_ = 0;
  bool asked_ = false;
};

// Port 0 brings events in, port 1 works on the one queue that there is.
class EventDevice final : public Handoff {
 public:
  explicit EventDevice(const std::string& driver) : name_("eventdev " + driver + ", atomic") {
    const int device = rte_event_dev_get_dev_id(("event_" + driver + "0").c_str());
    if (device < 0) return;
    device_ = static_cast<std::uint8_t>(device);
    usable_ = configure() && rte_event_dev_start(device_) == 0;
  }
  ~EventDevice() override {
    if (usable_) rte_event_dev_stop(device_);
  }
  std::string name() const override { return name_; }
  bool usable() const override { return usable_; }

  std::size_t give(std::span<Packet* const> burst) override {
    std::array<rte_event, kBatch> events{};
    for (std::size_t i = 0; i < burst.size(); ++i) {
      events[i].flow_id = burst[i]->hash & 0xfffff;
      events[i].op = RTE_EVENT_OP_NEW;
      events[i].sched_type = RTE_SCHED_TYPE_ATOMIC;
      events[i].event_type = RTE_EVENT_TYPE_CPU;
      events[i].queue_id = 0;
      events[i].event_ptr = burst[i];
    }
    const std::size_t count =
        rte_event_enqueue_new_burst(device_, 0, events.data(), static_cast<std::uint16_t>(burst.size()));
    schedule();
    return count;
  }
  void push_on() override {
    rte_event_enqueue_burst(device_, 0, nullptr, 0);  // dsw keeps some back until it is called again
    schedule();
  }
  std::size_t take(Touched& touched) override {
    std::array<rte_event, kBatch> events;
    const std::uint16_t count = rte_event_dequeue_burst(device_, 1, events.data(), kBatch, 0);
    for (std::uint16_t i = 0; i < count; ++i) touched.touch(events[i].event_ptr);
    return count;
  }

 private:
  void schedule() {
    if (scheduled_) rte_service_run_iter_on_app_lcore(service_, 1);
  }

  bool configure() {
    rte_event_dev_info info{};
    if (rte_event_dev_info_get(device_, &info) != 0) return false;
    rte_event_dev_config config{};
    config.nb_event_queues = 1;
    config.nb_event_ports = 2;
    config.nb_events_limit = info.max_num_events < 0 ? 4096 : info.max_num_events;
    config.nb_event_queue_flows = info.max_event_queue_flows;
    config.nb_event_port_dequeue_depth = info.max_event_port_dequeue_depth;
    config.nb_event_port_enqueue_depth = info.max_event_port_enqueue_depth;
    config.dequeue_timeout_ns = info.min_dequeue_timeout_ns;
    if (rte_event_dev_configure(device_, &config) != 0) return false;
    rte_event_queue_conf queue_config{};
    rte_event_queue_default_conf_get(device_, 0, &queue_config);
    queue_config.schedule_type = RTE_SCHED_TYPE_ATOMIC;
    if (rte_event_queue_setup(device_, 0, &queue_config) < 0) return false;  // opdl says 1
    for (std::uint8_t port = 0; port < 2; ++port) {
      rte_event_port_conf port_config{};
      rte_event_port_default_conf_get(device_, port, &port_config);
      if (rte_event_port_setup(device_, port, &port_config) != 0) return false;
    }
    const std::uint8_t queue = 0;
    if (rte_event_port_link(device_, 1, &queue, nullptr, 1) != 1) return false;
    if (rte_event_dev_service_id_get(device_, &service_) == 0) {
      scheduled_ = true;
      rte_service_runstate_set(service_, 1);
      rte_service_set_runstate_mapped_check(service_, 0);
    }
    return true;
  }

  const std::string name_;
  std::uint8_t device_ = 0;
  bool usable_ = false;
  bool scheduled_ = false;  // by a service, which the producer's thread runs
  std::uint32_t service_ = 0;
};

}  // namespace evenkeel::bench

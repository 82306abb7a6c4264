#include "source/live/live_inputs.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "source/live/grace_period.h"
#include "source/live/interface_facts.h"
#include "source/live/live_interface.h"
#include "source/live/live_source.h"
#include "source/live/live_spec.h"
#include "source/packet_filter.h"

namespace evenkeel::source {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
constexpr std::chrono::milliseconds kWatchInterval{100};
// How long a worker may leave its rings from other dispatchers alone.
constexpr int kPatience_ms = 1;

enum class Presence : std::uint8_t { kUp, kDown, kGone };

class Inputs final : public LiveInputs {
 public:
  explicit Inputs(const LiveOptions& options) : options_(options), moves_(options.workers) {
    if (!options_.tell) options_.tell = [](const std::string&) {};
  }

  Result<void> add(const std::string& text);
  void make_sources();

  std::vector<Source*> sources() override;
  std::vector<engine::SteeredSource*> steered() override;
  bucket::SteeredMoves& moves() override { return moves_; }
  Result<void> start(std::span<const std::uint16_t> owners) override;
  Result<void> publish(std::span<const std::uint16_t> owners) override;
  void watch() override;
  void stop() override;
  void wait(std::size_t worker) override { sources_[worker]->wait(kPatience_ms); }
  bool backlogged(std::size_t worker, std::size_t packets) const override {
    return sources_[worker]->backlogged(packets);
  }
  std::vector<LiveInputReport> report() const override;

 private:
  struct Input {
    LiveSpec spec;
    std::unique_ptr<LiveInterface> interface;
    Presence presence = Presence::kGone;
    int index = 0;           // of the interface that is open; 0: none
    std::string name_there;  // its name when last seen: interfaces can be renamed
    std::string told;        // why it could not be opened, as last told
    // Of the rings that were delivered last, which live as long as their sources do.
    std::vector<ReceiveRing*> rings;
  };

  Result<void> open(std::size_t number);
  void look_at(std::size_t number);
  void look_for(std::size_t number);
  void note_presence(Input& input, Presence now);

  LiveOptions options_;
  bucket::SteeredMoves moves_;
  std::vector<Input> inputs_;
  std::vector<std::unique_ptr<LiveSource>> sources_;  // by worker
  SteadyTime watched_;
  bool stopped_ = false;
};

Result<void> Inputs::add(const std::string& text) {
  auto spec = parse_live_spec(text);
  if (!spec) return spec.error();
  if (index_of_interface(spec->interface) == 0) {
    return runtime_error(
        fmt::format("there is no interface '{}'; there are {}", spec->interface, names_of_interfaces()));
  }
  const auto link = link_of_interface(spec->interface);
  if (!link) return link.error();
  if (const auto filter = PacketFilter::make(options_.filter, *link, options_.snap_length); !filter)
    return filter.error();
  const LiveInterfaceSetting setting{*spec, static_cast<std::uint16_t>(inputs_.size()), options_};
  auto interface =
      spec->kind == LiveKind::kAfPacket ? make_packet_interface(setting) : make_xdp_interface(setting);
  if (!interface) return interface.error();
  inputs_.emplace_back();
  inputs_.back().spec = *spec;
  inputs_.back().interface = std::move(*interface);
  return {};
}

void Inputs::make_sources() {
  for (std::uint32_t i = 0; i < options_.workers; ++i)
    sources_.push_back(std::make_unique<LiveSource>(inputs_.size()));
}

std::vector<Source*> Inputs::sources() {
  std::vector<Source*> all;
  for (const auto& source : sources_) all.push_back(source.get());
  return all;
}

std::vector<engine::SteeredSource*> Inputs::steered() {
  std::vector<engine::SteeredSource*> all;
  for (const auto& source : sources_) all.push_back(source.get());
  return all;
}

Result<void> Inputs::start(std::span<const std::uint16_t> owners) {
  for (Input& input : inputs_) input.interface->write_owners(owners);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!interface_is_up(inputs_[i].spec.interface)) {
      note_presence(inputs_[i], Presence::kDown);
    } else if (auto opened = open(i); !opened) {
      return opened;
    } else {
      options_.tell(
          fmt::format("receiving from {}: {}", inputs_[i].spec.name(), inputs_[i].interface->note()));
    }
  }
  return {};
}

Result<void> Inputs::open(std::size_t number) {
  Input& input = inputs_[number];
  const std::string& name = input.spec.interface;
  const auto link = link_of_interface(name);
  if (!link) return link.error();
  std::vector<RingCounters*> counters;
  for (const auto& source : sources_) counters.push_back(&source->counters(number));
  const int index = index_of_interface(name);
  auto rings = input.interface->open({index, *link}, counters);
  if (!rings) return runtime_error(fmt::format("{}: {}", input.spec.name(), rings.error().message));
  std::vector<ReceiveRing*> delivered;
  for (std::size_t worker = 0; worker < rings->size(); ++worker) {
    delivered.push_back((*rings)[worker].get());
    if (!sources_[worker]->deliver(number, (*rings)[worker]))
      return runtime_error(fmt::format("{}: worker {} has not begun with the last ring yet", name, worker));
  }
  input.rings = std::move(delivered);
  input.index = index;
  input.name_there = name;
  input.presence = Presence::kUp;
  return {};
}

Result<void> Inputs::publish(std::span<const std::uint16_t> owners) {
  for (Input& input : inputs_) input.interface->write_owners(owners);
  wait_for_grace_period();
  return {};
}

void Inputs::note_presence(Input& input, Presence now) {
  if (std::exchange(input.presence, now) == now) return;
  const std::string name = input.spec.name();
  switch (now) {
    case Presence::kUp:
      return options_.tell(fmt::format("{} is back", name));
    case Presence::kDown:
      return options_.tell(fmt::format("{} is down; waiting for it", name));
    case Presence::kGone:
      return options_.tell(fmt::format("{} is gone; waiting for it to return", name));
  }
}

void Inputs::watch() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (stopped_ || now - watched_ < kWatchInterval) return;
  watched_ = now;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].index != 0) look_at(i);
    if (inputs_[i].index == 0) look_for(i);
  }
}

// An interface that is open.
void Inputs::look_at(std::size_t number) {
  Input& input = inputs_[number];
  const std::string name = name_of_interface(input.index);
  if (name.empty()) {
    input.index = 0;
    return note_presence(input, Presence::kGone);
  }
  if (name != input.name_there) {
    options_.tell(fmt::format("{} is called {} now; going on with it", input.spec.name(), name));
    input.name_there = name;
  }
  note_presence(input, interface_is_up(name) ? Presence::kUp : Presence::kDown);
}

// One that is gone, or was not up yet.
void Inputs::look_for(std::size_t number) {
  Input& input = inputs_[number];
  if (index_of_interface(input.spec.interface) == 0 || !interface_is_up(input.spec.interface)) return;
  if (auto opened = open(number); opened) {
    input.told.clear();
    options_.tell(fmt::format("receiving from {}: {}", input.spec.name(), input.interface->note()));
  } else if (std::exchange(input.told, opened.error().message) != opened.error().message) {
    options_.tell(opened.error().message);
  }
}

void Inputs::stop() {
  if (std::exchange(stopped_, true)) return;
  for (const Input& input : inputs_) {
    for (ReceiveRing* const ring : input.rings) ring->refuse_more();
  }
  wait_for_grace_period();
  for (const auto& source : sources_) source->end();
}

std::vector<LiveInputReport> Inputs::report() const {
  std::vector<LiveInputReport> reports;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    LiveInputReport report;
    report.name = inputs_[i].spec.name();
    report.note = inputs_[i].interface->note();
    for (const auto& source : sources_) {
      const RingCounters& counters = source->counters(i);
      report.packets += counters.packets.read();
      report.bytes += counters.bytes.read();
      report.kernel_drops += counters.kernel_drops.read();
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

}  // namespace

Result<std::unique_ptr<LiveInputs>> open_live_inputs(const std::vector<std::string>& specs,
                                                     const LiveOptions& options) {
  auto inputs = std::make_unique<Inputs>(options);
  for (const std::string& spec : specs) {
    if (auto added = inputs->add(spec); !added) return added.error();
  }
  inputs->make_sources();
  return std::unique_ptr<LiveInputs>(std::move(inputs));
}

}  // namespace evenkeel::source

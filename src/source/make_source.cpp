#include "source/make_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "source/filtered_source.h"
#include "source/generator/generator_source.h"
#include "source/generator/spec.h"
#include "source/merged_source.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::source {
namespace {

constexpr std::string_view kPcapPrefix = "pcap:";
constexpr std::string_view kGeneratorPrefix = "generator:";

constexpr std::size_t kInputsMax = 1'000;  // below the usual limit of open files

// Blocks in the pool of one of `inputs` inputs: fewer where there are many, for memory, and as many as keep
// its worker busy where it is the only one.
std::uint32_t blocks_for(std::size_t inputs) {
  return static_cast<std::uint32_t>(std::clamp<std::size_t>(64 / inputs, 4, 32));
}

struct Place {
  std::uint16_t index = 0;  // of the input
  std::size_t inputs = 1;   // of the run
};

std::uint64_t seed_of_input(std::uint64_t seed, std::uint16_t index) {
  if (index == 0) return seed;
  std::uint64_t state = seed ^ index;
  return base::splitmix64(state);
}

Result<std::unique_ptr<Source>> make_generator(std::string_view text, const SourceOptions& options,
                                               const Place& place) {
  GeneratorOptions defaults;
  defaults.seed = seed_of_input(options.seed, place.index);
  defaults.source = place.index;
  defaults.blocks = blocks_for(place.inputs);
  if (options.duration_ns) defaults.packets = std::nullopt;
  const auto spec = parse_generator_spec(text, defaults);
  if (!spec) return spec.error();
  return std::unique_ptr<Source>(std::make_unique<GeneratorSource>(*spec->profile, spec->options));
}

Result<std::unique_ptr<Source>> make_input(const std::string& spec, const SourceOptions& options,
                                           const Place& place) {
  if (spec.starts_with(kGeneratorPrefix)) {
    return make_generator(std::string_view(spec).substr(kGeneratorPrefix.size()), options, place);
  }
  const bool named = spec.starts_with(kPcapPrefix);
  const std::string path = named ? spec.substr(kPcapPrefix.size()) : spec;
  if (path.empty()) return usage_error(fmt::format("'{}' names no input; accepted are {}", spec, kSpecHelp));
  return open_pcap(path, {.source = place.index, .blocks = blocks_for(place.inputs)});
}

Result<void> check(std::span<const std::string> specs) {
  if (specs.empty()) return usage_error(fmt::format("no input; accepted are {}", kSpecHelp));
  if (specs.size() > kInputsMax) {
    return usage_error(
        fmt::format("{} inputs are too many; at most {} in one run", specs.size(), kInputsMax));
  }
  const auto standard = std::count_if(
      specs.begin(), specs.end(), [](const std::string& spec) { return spec == "-" || spec == "pcap:-"; });
  if (standard > 1) return usage_error("the standard input (-) can be one input only");
  return {};
}

}  // namespace

Result<std::unique_ptr<Source>> make_source(std::span<const std::string> specs,
                                            const SourceOptions& options) {
  if (const auto checked = check(specs); !checked) return checked.error();
  std::vector<std::unique_ptr<Source>> inputs;
  for (const std::string& spec : specs) {
    auto input = make_input(spec, options, {static_cast<std::uint16_t>(inputs.size()), specs.size()});
    if (input && !options.filter.empty()) input = FilteredSource::make(std::move(*input), options.filter);
    if (!input) return input.error();
    inputs.push_back(std::move(*input));
  }
  std::unique_ptr<Source> source;
  if (inputs.size() == 1) {
    source = std::move(inputs.front());
  } else {
    source = std::make_unique<MergedSource>(std::move(inputs));
  }
  if (options.duration_ns) source = std::make_unique<LimitedSource>(std::move(source), *options.duration_ns);
  if (options.speed) source = std::make_unique<PacedSource>(std::move(source), *options.speed, options.clock);
  return source;
}

}  // namespace evenkeel::source

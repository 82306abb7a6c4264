#include "source/make_source.h"

#include <fmt/format.h>

#include <string_view>

#include "base/random.h"
#include "source/generator/generator_source.h"
#include "source/generator/spec.h"
#include "source/pcap/pcap_source.h"

namespace evenkeel::source {
namespace {

constexpr std::string_view kPcapPrefix = "pcap:";
constexpr std::string_view kGeneratorPrefix = "generator:";

std::uint64_t seed_of_input(std::uint64_t seed, std::uint16_t index) {
  if (index == 0) return seed;
  std::uint64_t state = seed ^ index;
  return base::splitmix64(state);
}

Result<std::unique_ptr<Source>> make_generator(std::string_view text, const SourceOptions& options,
                                               std::uint16_t index) {
  GeneratorOptions defaults;
  defaults.seed = seed_of_input(options.seed, index);
  defaults.source = index;
  const auto spec = parse_generator_spec(text, defaults);
  if (!spec) return spec.error();
  return std::unique_ptr<Source>(std::make_unique<GeneratorSource>(*spec->profile, spec->options));
}

}  // namespace

Result<std::unique_ptr<Source>> make_source(const std::string& spec, const SourceOptions& options,
                                            std::uint16_t index) {
  if (spec.starts_with(kGeneratorPrefix)) {
    return make_generator(std::string_view(spec).substr(kGeneratorPrefix.size()), options, index);
  }
  const bool named = spec.starts_with(kPcapPrefix);
  const std::string path = named ? spec.substr(kPcapPrefix.size()) : spec;
  if (path.empty()) return usage_error(fmt::format("an input is missing; accepted are {}", kSpecHelp));
  return open_pcap(path, {.source = index});
}

}  // namespace evenkeel::source

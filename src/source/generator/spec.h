// The words after `generator:`, as in "campus,connections=10000,packets=5M,rate=1M".
#pragma once

#include <string_view>

#include "evenkeel/result.h"
#include "source/generator/generator_source.h"

namespace evenkeel::source {

struct GeneratorSpec {
  const Profile* profile = nullptr;
  GeneratorOptions options;
};

// `defaults` holds for what `text` does not say. An unknown profile or option, or a number out of range, is a
// usage error that says what there is.
Result<GeneratorSpec> parse_generator_spec(std::string_view text, const GeneratorOptions& defaults);

}  // namespace evenkeel::source

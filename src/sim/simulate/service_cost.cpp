#include "sim/simulate/service_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/random.h"

namespace evenkeel::sim {

namespace {

constexpr double kCostMax_ns = 1e9;

std::optional<std::vector<double>> numbers_in(std::string_view text) {
  std::vector<double> numbers;
  const std::string copy(text);
  const char* at = copy.c_str();
  while (true) {
    char* end = nullptr;
    numbers.push_back(std::strtod(at, &end));
    if (end == at || !std::isfinite(numbers.back())) return std::nullopt;
    if (*end == '\0') return numbers;
    if (*end != ',') return std::nullopt;
    at = end + 1;
  }
}

// Uniform in [0, 1), by seed and packet.
double uniform_of(std::uint64_t seed, std::uint64_t sequence) {
  std::uint64_t state = seed + sequence * 0x9e3779b97f4a7c15u;
  return static_cast<double>(base::splitmix64(state) >> 11) * 0x1.0p-53;
}

bool is_cost(double nanoseconds) { return nanoseconds >= 1 && nanoseconds <= kCostMax_ns; }

}  // namespace

Result<ServiceCost> ServiceCost::parse(std::string_view text, std::uint64_t seed) {
  const Error wrong = usage_error(fmt::format(
      "--service '{}' is no service cost; accepted are {}, with costs from 1 ns to 1 s", text, kServiceHelp));
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return wrong;
  const std::string_view name = text.substr(0, colon);
  const auto numbers = numbers_in(text.substr(colon + 1));
  if (!numbers) return wrong;
  const std::vector<double>& n = *numbers;
  ServiceCost cost;
  cost.seed_ = seed;
  cost.text_ = text;
  cost.first_ = n[0];
  if (name == "fixed" && n.size() == 1) {
    cost.kind_ = Kind::kFixed;
  } else if (name == "exp" && n.size() == 1) {
    cost.kind_ = Kind::kExponential;
  } else if (name == "perbyte" && n.size() == 2 && n[1] >= 0 && n[1] <= 1e6) {
    cost.kind_ = Kind::kPerByte;
    cost.second_ = n[1];
  } else if (name == "bimodal" && n.size() == 3 && is_cost(n[1]) && n[2] >= 0 && n[2] <= 1) {
    cost.kind_ = Kind::kBimodal;
    cost.second_ = n[1];
    cost.fraction_ = n[2];
  } else {
    return wrong;
  }
  if (!is_cost(cost.first_)) return wrong;
  return cost;
}

double ServiceCost::of(std::uint64_t sequence, std::uint32_t wire_length) const {
  switch (kind_) {
    case Kind::kFixed:
      return first_;
    case Kind::kPerByte:
      return first_ + second_ * wire_length;
    case Kind::kExponential:
      return -first_ * std::log1p(-uniform_of(seed_, sequence));
    case Kind::kBimodal:
      return uniform_of(seed_, sequence) < fraction_ ? second_ : first_;
  }
  return first_;
}

double ServiceCost::mean_ns(double mean_wire_length) const {
  switch (kind_) {
    case Kind::kPerByte:
      return first_ + second_ * mean_wire_length;
    case Kind::kBimodal:
      return first_ * (1 - fraction_) + second_ * fraction_;
    default:
      return first_;
  }
}

}  // namespace evenkeel::sim

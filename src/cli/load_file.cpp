#include "cli/load_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string_view>

namespace evenkeel::cli {
namespace {

Result<std::string> read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return runtime_error(fmt::format("{}: {}", path, std::strerror(errno)));
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) return runtime_error(fmt::format("{}: cannot be read", path));
  return text.str();
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Calls `take(line, line_number)` for each line that says something, until it returns an error.
template <typename Take>
Result<void> for_each_line(std::string_view text, Take take) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (auto result = take(line, number); !result) return result;
  }
  return {};
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<double> load_in(const std::string& path, std::size_t line, std::string_view text) {
  const auto value = number_in(text);
  if (!value)
    return usage_error(
        fmt::format("{}:{}: '{}' is no number: one load is expected on a line", path, line, text));
  if (!std::isfinite(*value) || *value < 0)
    return usage_error(
        fmt::format("{}:{}: the load {} must be a finite number of at least 0", path, line, text));
  return *value;
}

Result<void> check_loads(const std::string& path, const std::vector<double>& loads) {
  if (loads.empty()) return usage_error(fmt::format("{}: there are no loads in it", path));
  if (loads.size() > kBucketsMax)
    return usage_error(
        fmt::format("{}: {} loads, and there are at most {} buckets", path, loads.size(), kBucketsMax));
  if (std::all_of(loads.begin(), loads.end(), [](double load) { return load == 0; }))
    return usage_error(fmt::format("{}: every load is 0: one at least must be above 0", path));
  return {};
}

Result<LoadFile> read_csv(const std::string& path, const std::string& text) {
  LoadFile file;
  auto lines = for_each_line(text, [&](std::string_view line, std::size_t number) -> Result<void> {
    auto load = load_in(path, number, line);
    if (!load) return load.error();
    file.load.push_back(*load);
    return {};
  });
  if (!lines) return lines.error();
  return file;
}

Result<LoadFile> read_report(const std::string& path, const std::string& text) {
  const auto report = nlohmann::json::parse(text, nullptr, false);
  if (report.is_discarded()) return usage_error(fmt::format("{}: this is no JSON", path));
  LoadFile file;
  file.measured = true;
  const auto numbers = [](const nlohmann::json& list) {
    return list.is_array() &&
           std::all_of(list.begin(), list.end(), [](const auto& value) { return value.is_number(); });
  };
  const auto balance = report.find("balance");
  if (balance == report.end() || !balance->contains("bucket_loads") || !numbers((*balance)["bucket_loads"]))
    return usage_error(
        fmt::format("{}: balance.bucket_loads is missing: is this a report of `evenkeel run`?", path));
  for (const auto& load : (*balance)["bucket_loads"]) file.load.push_back(load.get<double>());
  if (std::any_of(file.load.begin(), file.load.end(), [](double load) { return !(load >= 0); }))
    return usage_error(fmt::format("{}: balance.bucket_loads must be at least 0", path));
  if (const auto owners = balance->find("bucket_owners"); owners != balance->end()) {
    if (!numbers(*owners) || owners->size() != file.load.size())
      return usage_error(fmt::format("{}: balance.bucket_owners must name a processor for each load", path));
    for (const auto& owner : *owners) {
      const double value = owner.get<double>();
      if (!(value >= 0 && value < kProcessorsMax))
        return usage_error(fmt::format("{}: balance.bucket_owners: {} is no processor", path, value));
      file.owner.push_back(ProcessorId(static_cast<std::uint32_t>(value)));
    }
  }
  const auto workers = report.find("workers");
  for (std::size_t i = 0; workers != report.end() && workers->is_array() && i < workers->size(); ++i) {
    const auto busy = (*workers)[i].find("busy_fraction");
    if (busy == (*workers)[i].end() || !busy->is_number()) continue;
    file.usage.push_back(std::clamp(busy->get<double>(), 0.0, 1.0));
  }
  return file;
}

}  // namespace

Result<LoadFile> read_load_file(const std::string& path) {
  auto text = read_all(path);
  if (!text) return text.error();
  const bool json = trim(*text).starts_with('{');
  auto file = json ? read_report(path, *text) : read_csv(path, *text);
  if (!file) return file;
  if (auto result = check_loads(path, file->load); !result) return result.error();
  return file;
}

Result<std::vector<std::vector<double>>> read_rounds_file(const std::string& path) {
  auto text = read_all(path);
  if (!text) return text.error();
  std::vector<std::vector<double>> rounds;
  auto lines = for_each_line(*text, [&](std::string_view line, std::size_t number) -> Result<void> {
    std::vector<double> loads;
    while (true) {
      const std::size_t comma = line.find(',');
      auto load = load_in(path, number, trim(line.substr(0, comma)));
      if (!load) return load.error();
      loads.push_back(*load);
      if (comma == std::string_view::npos) break;
      line.remove_prefix(comma + 1);
    }
    if (!rounds.empty() && loads.size() != rounds.front().size())
      return usage_error(fmt::format("{}:{}: {} loads, and there were {} in the first round", path, number,
                                     loads.size(), rounds.front().size()));
    rounds.push_back(std::move(loads));
    return {};
  });
  if (!lines) return lines.error();
  if (rounds.empty()) return usage_error(fmt::format("{}: there are no rounds in it", path));
  return rounds;
}

Result<std::vector<ProcessorId>> read_assignment_file(const std::string& path, std::size_t processors) {
  auto text = read_all(path);
  if (!text) return text.error();
  std::vector<ProcessorId> owner;
  auto lines = for_each_line(*text, [&](std::string_view line, std::size_t number) -> Result<void> {
    const auto value = number_in(line);
    if (!value || *value < 0 || *value >= static_cast<double>(processors) || *value != std::floor(*value))
      return usage_error(
          fmt::format("{}:{}: '{}' is no processor: a number from 0 to {} is expected on a line", path,
                      number, line, processors - 1));
    owner.push_back(ProcessorId(static_cast<std::uint32_t>(*value)));
    return {};
  });
  if (!lines) return lines.error();
  return owner;
}

}  // namespace evenkeel::cli

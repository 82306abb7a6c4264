#include "cli/load_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "cli/option_values.h"

namespace evenkeel::cli {
namespace {

// Far above the JSON report of a run with all buckets and workers, or thousands of rounds.
constexpr std::size_t kTextBytesMax = std::size_t{256} << 20;

// Some programs put it in front of UTF-8 text.
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

Result<std::string> read_all(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return runtime_error(fmt::format("{}: is a directory: name a file in it, or - for standard input", path));
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  if (!in) return runtime_error(fmt::format("{}: {}", path, std::strerror(errno)));
  std::string text;
  for (std::vector<char> piece(1 << 16); in.good() && text.size() <= kTextBytesMax;) {
    in.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (text.size() > kTextBytesMax)
    return runtime_error(
        fmt::format("{}: more than {} MB: this is no file of loads", path, kTextBytesMax >> 20));
  if (in.bad()) return runtime_error(fmt::format("{}: cannot be read", path));
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Names of columns, as spreadsheets write them: words, and none of them a number (as nan is).
bool is_header(std::string_view line) {
  while (true) {
    const std::size_t comma = line.find(',');
    const std::string_view cell = trim(line.substr(0, comma));
    const bool word =
        !cell.empty() && (std::isalpha(static_cast<unsigned char>(cell.front())) != 0 || cell.front() == '"');
    if (!word || number_in(cell)) return false;
    if (comma == std::string_view::npos) return true;
    line.remove_prefix(comma + 1);
  }
}

// Calls `take(line, line_number)` for each line that says something, until it returns an error.
template <typename Take>
Result<void> for_each_line(std::string_view text, Take take) {
  std::size_t number = 0;
  bool first = true;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.empty() || line.front() == '#') continue;
    if (std::exchange(first, false) && is_header(line)) continue;
    if (auto result = take(line, number); !result) return result;
  }
  return {};
}

Result<double> load_in(const std::string& path, std::size_t line, std::string_view text) {
  const auto value = number_in(text);
  if (!value || !std::isfinite(*value) || *value < 0)
    return usage_error(
        fmt::format("{}:{}: '{}' is no load: a finite number of at least 0 is expected", path, line, text));
  return *value;
}

Result<void> check_loads(const std::string& path, const std::vector<double>& loads) {
  if (loads.empty())
    return usage_error(fmt::format(
        "{}: there are no loads in it: a number a line is expected, or a report of `evenkeel run`", path));
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

bool are_numbers(const nlohmann::json& list) {
  return list.is_array() &&
         std::all_of(list.begin(), list.end(), [](const auto& value) { return value.is_number(); });
}

// As a run measures them, loads are processors that were busy: some thousands at most. What is less than a
// nanosecond a second is nothing.
constexpr double kMeasuredMin = 1e-9;
constexpr double kMeasuredMax = 1e6;

Result<void> take_loads(const std::string& path, const nlohmann::json& balance, LoadFile& file) {
  const auto loads = balance.find("bucket_loads");
  if (loads == balance.end())
    return usage_error(
        fmt::format("{}: balance.bucket_loads is missing: is this a report of `evenkeel run`?", path));
  if (!are_numbers(*loads))
    return usage_error(fmt::format("{}: balance.bucket_loads must be a list of numbers", path));
  double total = 0;
  for (const auto& load : *loads) {
    file.load.push_back(load.get<double>());
    if (!(file.load.back() >= 0 && file.load.back() <= kMeasuredMax))
      return usage_error(fmt::format("{}: balance.bucket_loads: {} is no load: a run measures 0 to {}", path,
                                     load.dump(), kMeasuredMax));
    total += file.load.back();
  }
  if (total < kMeasuredMin) file.load.assign(file.load.size(), 0);
  return {};
}

Result<void> take_owners(const std::string& path, const nlohmann::json& balance, LoadFile& file) {
  const auto owners = balance.find("bucket_owners");
  if (owners == balance.end()) return {};
  if (!are_numbers(*owners) || owners->size() != file.load.size())
    return usage_error(fmt::format("{}: balance.bucket_owners must name a processor for each load", path));
  for (const auto& owner : *owners) {
    const double value = owner.get<double>();
    if (!(value >= 0 && value < kProcessorsMax && value == std::floor(value)))
      return usage_error(fmt::format("{}: balance.bucket_owners: {} is no processor", path, owner.dump()));
    file.owner.push_back(ProcessorId(static_cast<std::uint32_t>(value)));
  }
  return {};
}

// What each worker says of itself; nothing, where not all of them say it.
void take_workers(const nlohmann::json& report, LoadFile& file) {
  const auto workers = report.find("workers");
  if (workers == report.end() || !workers->is_array()) return;
  const auto take = [&](const char* name, double min, double max, std::vector<double>& values) {
    for (const auto& worker : *workers) {
      const auto value = worker.find(name);
      if (value == worker.end() || !value->is_number()) continue;
      values.push_back(std::clamp(value->template get<double>(), min, max));
    }
    if (values.size() != workers->size()) values.clear();
  };
  take("busy_fraction", 0, 1, file.usage);
  take("capacity", kCapacityMin, kCapacityMax, file.capacity);
}

Result<LoadFile> read_report(const std::string& path, const std::string& text) {
  const auto report = nlohmann::json::parse(text, nullptr, false);
  if (report.is_discarded()) return usage_error(fmt::format("{}: this is no whole JSON", path));
  LoadFile file;
  file.measured = true;
  const auto balance = report.find("balance");
  if (balance == report.end())
    return usage_error(fmt::format("{}: balance is missing: is this a report of `evenkeel run`?", path));
  if (auto done = take_loads(path, *balance, file); !done) return done.error();
  if (auto done = take_owners(path, *balance, file); !done) return done.error();
  take_workers(report, file);
  return file;
}

}  // namespace

Result<LoadFile> read_load_file(const std::string& path) {
  auto text = read_all(path);
  if (!text) return text.error();
  const std::string_view content = trim(*text);
  const bool json = content.starts_with('{');
  if (content.starts_with('['))
    return usage_error(
        fmt::format("{}: this is a list in JSON: a report of `evenkeel run` is expected, or CSV", path));
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

#include "control/steer_state.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file_descriptor.h"
#include "meter/cpu_time.h"

namespace evenkeel::control {
namespace {

using nlohmann::json;

std::uint64_t own_network_namespace() {
  struct stat status {};
  return stat("/proc/thread-self/ns/net", &status) == 0 ? status.st_ino : 0;
}

// Field 22 of /proc/PID/stat; 0: no such process.
std::uint64_t start_of(int process) {
  const auto text = meter::read_file(fmt::format("/proc/{}/stat", process));
  if (!text) return 0;
  std::istringstream fields(text->substr(text->rfind(')') + 2));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return std::strtoull(field.c_str(), nullptr, 10);
}

json to_json(const SteerState& state) {
  return {{"interface", state.interface},
          {"interface_index", state.interface_index},
          {"network_namespace", state.network_namespace},
          {"actuator", state.actuator},
          {"process", state.process},
          {"process_start", state.process_start},
          {"table", state.table},
          {"previous_program", state.previous_program},
          {"previous_generic", state.previous_generic}};
}

SteerState from_json(const json& value) {
  return {.interface = value.at("interface"),
          .interface_index = value.at("interface_index"),
          .network_namespace = value.at("network_namespace"),
          .actuator = value.at("actuator"),
          .process = value.at("process"),
          .process_start = value.at("process_start"),
          .table = value.at("table"),
          .previous_program = value.at("previous_program"),
          .previous_generic = value.at("previous_generic")};
}

// All or nothing, and on the disk before it returns: a crash right behind must find it.
bool write_whole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const base::FileDescriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return false;
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) return false;
  return fsync(file.get()) == 0 && std::rename(temporary.c_str(), path.c_str()) == 0;
}

}  // namespace

std::string SteerStateStore::path_of(const std::string& interface) const {
  return fmt::format("{}/steer-{}-{}.json", folder_, interface, own_network_namespace());
}

Result<std::optional<SteerState>> SteerStateStore::load(const std::string& interface) const {
  const std::string path = path_of(interface);
  const auto text = meter::read_file(path);
  if (!text) return std::optional<SteerState>();
  try {
    return std::optional<SteerState>(from_json(json::parse(*text)));
  } catch (const json::exception&) {
    return runtime_error(fmt::format("{} is not what evenkeel wrote: look at it, and remove it", path));
  }
}

Result<void> SteerStateStore::save(const SteerState& state) const {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  const std::string path = path_of(state.interface);
  if (!write_whole(path, to_json(state).dump(1) + "\n")) {
    return runtime_error(fmt::format("cannot write {}: {}; nothing was changed", path, std::strerror(errno)));
  }
  return {};
}

Result<void> SteerStateStore::remove(const std::string& interface) const {
  std::error_code error;
  std::filesystem::remove(path_of(interface), error);
  if (error) return runtime_error(fmt::format("cannot remove {}: {}", path_of(interface), error.message()));
  return {};
}

SteerState own_state(const std::string& interface, int interface_index, const std::string& actuator) {
  return {.interface = interface,
          .interface_index = interface_index,
          .network_namespace = own_network_namespace(),
          .actuator = actuator,
          .process = getpid(),
          .process_start = start_of(getpid()),
          .table = {},
          .previous_program = {}};
}

bool is_alive(const SteerState& state) {
  const std::uint64_t start = start_of(state.process);
  return start != 0 && start == state.process_start;
}

}  // namespace evenkeel::control

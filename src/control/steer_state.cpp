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

// Field 22 of /proc/PID/stat; 0: no such process, or one that ended and is only still listed.
std::uint64_t start_of(int process) {
  const auto text = meter::read_file(fmt::format("/proc/{}/stat", process));
  if (!text || text->rfind(')') == std::string::npos) return 0;
  std::istringstream fields(text->substr(text->rfind(')') + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return 0;
  std::string field;
  for (int i = 4; i <= 22; ++i) fields >> field;
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

bool write_and_sync(const std::string& path, const std::string& text) {
  const base::FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  return file.valid() && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         fsync(file.get()) == 0;
}

// All or nothing, and on the disk before it returns: a crash right behind must find it. 0, or the error.
int write_whole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  errno = ENOSPC;  // what a short write means, which sets none
  if (write_and_sync(temporary, text) && std::rename(temporary.c_str(), path.c_str()) == 0) return 0;
  const int error = errno;
  unlink(temporary.c_str());
  return error;
}

}  // namespace

std::string SteerStateStore::stem_of(const std::string& interface) const {
  return fmt::format("{}/steer-{}-{}", folder_, interface, own_network_namespace());
}

std::string SteerStateStore::path_of(const std::string& interface) const {
  return stem_of(interface) + ".json";
}

// Others may see who steers; only root may open, lock or change.
Result<std::optional<SteerClaim>> SteerStateStore::claim(const std::string& interface) const {
  std::error_code error;
  if (std::filesystem::create_directories(folder_, error)) (void)chmod(folder_.c_str(), 0755);
  return SteerClaim::take(stem_of(interface) + ".lock");
}

Result<std::optional<SteerState>> SteerStateStore::load(const std::string& interface) const {
  const std::string path = path_of(interface);
  errno = 0;
  const auto text = meter::read_file(path);
  if (!text && errno == ENOENT) return std::optional<SteerState>();
  if (!text) {
    const char* const remedy = errno == EACCES ? "; it needs root" : "";
    return runtime_error(fmt::format("cannot read {}: {}{}", path, std::strerror(errno), remedy));
  }
  try {
    return std::optional<SteerState>(from_json(json::parse(*text)));
  } catch (const json::exception&) {
    return runtime_error(fmt::format("{} is not what evenkeel wrote: look at it, and remove it", path));
  }
}

Result<void> SteerStateStore::save(const SteerState& state) const {
  const std::string path = path_of(state.interface);
  const int error = write_whole(path, to_json(state).dump(1) + "\n");
  if (error == 0) return {};
  return runtime_error(fmt::format("cannot write {}: {}; nothing was changed", path, std::strerror(error)));
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

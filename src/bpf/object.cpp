#include "bpf/object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/check.h"

namespace evenkeel::bpf {
namespace {

// What libbpf had to say since the last load: its only way to tell why the verifier refused.
thread_local std::string diagnostics;

int keep_message(libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[2048];
  const int size = std::vsnprintf(line, sizeof line, format, arguments);
  if (size > 0) diagnostics += line;
  return size;
}

// The last lines are what a person needs: the verifier's verdict stands at the end.
std::string last_words() {
  constexpr std::size_t kLength = 400;
  std::string words =
      diagnostics.size() > kLength ? diagnostics.substr(diagnostics.size() - kLength) : diagnostics;
  for (char& c : words) {
    if (c == '\n') c = ' ';
  }
  return words;
}

bpf_map* find_map(const bpf_object* object, const char* name) {
  bpf_map* const map = bpf_object__find_map_by_name(object, name);
  CHECK(map != nullptr);
  return map;
}

bpf_program* find_program(const bpf_object* object, const char* name) {
  bpf_program* const program = bpf_object__find_program_by_name(object, name);
  CHECK(program != nullptr);
  return program;
}

std::string explain_refusal(int error) {
  if (error == EMFILE || error == ENFILE || error == ENOMEM)
    return fmt::format("the kernel has no room for a program ({}): see `ulimit -n` and free memory",
                       std::strerror(error));
  if (error == EPERM && geteuid() != 0)
    return "kernel programs need root, or the capabilities that packaging/evenkeel-steer@.service lists";
  if (error == EPERM || error == EACCES) {
    return fmt::format(
        "the kernel refused a program ({}): run as root, or with CAP_BPF and CAP_NET_ADMIN; {}",
        std::strerror(error), last_words());
  }
  return fmt::format("the kernel refused a program ({}); evenkeel needs Linux 5.15 or later: {}",
                     std::strerror(error), last_words());
}

}  // namespace

void Object::Closer::operator()(bpf_object* object) const { bpf_object__close(object); }

Object Object::open(std::span<const std::byte> image) {
  libbpf_set_print(keep_message);
  bpf_object* const object = bpf_object__open_mem(image.data(), image.size(), nullptr);
  CHECK(object != nullptr);
  return Object(object);
}

void Object::set_entries(const char* map, std::uint32_t entries) {
  CHECK(bpf_map__set_max_entries(find_map(object_.get(), map), entries) == 0);
}

void Object::set_configuration(std::span<const std::byte> bytes) {
  bpf_map* const map = find_map(object_.get(), ".rodata.configuration");
  CHECK(bpf_map__set_initial_value(map, bytes.data(), bytes.size()) == 0);
}

void Object::leave_out(const char* program) {
  CHECK(bpf_program__set_autoload(find_program(object_.get(), program), false) == 0);
}

Result<void> Object::load() {
  diagnostics.clear();
  const int error = bpf_object__load(object_.get());
  if (error != 0) return runtime_error(explain_refusal(-error));
  return {};
}

int Object::map(const char* name) const { return bpf_map__fd(find_map(object_.get(), name)); }

int Object::program(const char* name) const { return bpf_program__fd(find_program(object_.get(), name)); }

std::uint32_t Object::map_identity(const char* name) const {
  bpf_map_info info{};
  std::uint32_t size = sizeof info;
  CHECK(bpf_obj_get_info_by_fd(map(name), &info, &size) == 0);
  return info.id;
}

Result<void> Object::set_variable(std::size_t offset, std::uint32_t value) {
  const bpf_map* const map = find_map(object_.get(), ".bss");
  CHECK(offset + sizeof value <= bpf_map__value_size(map));
  std::vector<std::byte> section(bpf_map__value_size(map));
  const std::uint32_t key = 0;
  if (bpf_map_lookup_elem(bpf_map__fd(map), &key, section.data()) == 0) {
    std::memcpy(section.data() + offset, &value, sizeof value);
    if (bpf_map_update_elem(bpf_map__fd(map), &key, section.data(), 0) == 0) return {};
  }
  return runtime_error(fmt::format("cannot write a kernel program's variable: {}", std::strerror(errno)));
}

Result<base::FileDescriptor> Object::attach_raw_tracepoint(const char* name, const char* tracepoint) const {
  base::FileDescriptor link(bpf_raw_tracepoint_open(tracepoint, program(name)));
  if (!link.valid()) {
    return runtime_error(
        fmt::format("cannot attach to the tracepoint {}: {}", tracepoint, std::strerror(errno)));
  }
  return link;
}

namespace internal {

Result<void*> map_memory(int descriptor, std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) {
    return runtime_error(
        fmt::format("cannot map a kernel table of {} bytes: {}", bytes, std::strerror(errno)));
  }
  return memory;
}

void unmap_memory(void* memory, std::size_t bytes) { CHECK(munmap(memory, bytes) == 0); }

}  // namespace internal

std::size_t possible_cpus() {
  const int cpus = libbpf_num_possible_cpus();
  CHECK(cpus > 0);
  return static_cast<std::size_t>(cpus);
}

Result<void> read_per_cpu(int descriptor, std::uint32_t key, std::size_t value_size, void* values) {
  CHECK(value_size % 8 == 0);
  if (bpf_map_lookup_elem(descriptor, &key, values) != 0) {
    return runtime_error(fmt::format("cannot read a kernel counter: {}", std::strerror(errno)));
  }
  return {};
}

Result<std::uint32_t> test_run(int program, std::span<const std::uint8_t> packet) {
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.data();
  options.data_size_in = static_cast<std::uint32_t>(packet.size());
  options.repeat = 1;
  const int error = bpf_prog_test_run_opts(program, &options);
  if (error != 0) return runtime_error(fmt::format("test run: {}", std::strerror(-error)));
  return options.retval;
}

}  // namespace evenkeel::bpf

// Kernel programs from their embedded objects: open, set sizes and configuration, load, attach. A thin owner
// of libbpf's object, with errors as values: everything is released when the owner goes.
//
// Thread: [control]. Needs CAP_BPF and CAP_NET_ADMIN (CAP_SYS_ADMIN before 5.8). Kernel 5.15 or later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "evenkeel/result.h"

struct bpf_object;

namespace evenkeel::bpf {

class Object {
 public:
  // `image`: one of images.h. An image that libbpf cannot read is a bug.
  static Object open(std::span<const std::byte> image);

  // Before load(). A name that the object does not have is a bug of the caller.
  void set_entries(const char* map, std::uint32_t entries);
  // Fills the read-only section `.rodata.configuration`.
  void set_configuration(std::span<const std::byte> bytes);
  template <typename T>
  void set_configuration(const T& configuration) {
    set_configuration(std::as_bytes(std::span(&configuration, 1)));
  }
  // Leaves a program out: the kernel may lack what it needs.
  void leave_out(const char* program);

  // Gives the programs to the kernel, whose verifier may refuse: the error has its last words.
  Result<void> load();

  // After load(). The descriptors belong to the object.
  int map(const char* name) const;
  int program(const char* name) const;
  // The map's identity, as tracepoints report it.
  std::uint32_t map_identity(const char* name) const;
  // Writes a global variable of the programs (section .bss) while they run.
  Result<void> set_variable(std::size_t offset, std::uint32_t value);

  // Attaches a tracepoint program for as long as the descriptor lives.
  Result<base::FileDescriptor> attach_raw_tracepoint(const char* program, const char* tracepoint) const;

 private:
  struct Closer {
    void operator()(bpf_object* object) const;
  };
  explicit Object(bpf_object* object) : object_(object) {}
  std::unique_ptr<bpf_object, Closer> object_;
};

// An array map's values in this process' memory, shared with the kernel programs: both sides use atomic
// operations on them. The map must be BPF_F_MMAPABLE.
template <typename T>
class SharedArray {
 public:
  SharedArray() = default;
  static Result<SharedArray> map(int descriptor, std::size_t entries);
  SharedArray(SharedArray&& other) noexcept : values_(std::exchange(other.values_, {})) {}
  SharedArray& operator=(SharedArray&& other) noexcept {
    std::swap(values_, other.values_);
    return *this;
  }
  ~SharedArray();
  std::span<T> values() const { return values_; }
  T& operator[](std::size_t index) const { return values_[index]; }

 private:
  explicit SharedArray(std::span<T> values) : values_(values) {}
  std::span<T> values_;
};

namespace internal {
Result<void*> map_memory(int descriptor, std::size_t bytes);
void unmap_memory(void* memory, std::size_t bytes);
}  // namespace internal

template <typename T>
Result<SharedArray<T>> SharedArray<T>::map(int descriptor, std::size_t entries) {
  static_assert(sizeof(T) % 8 == 0, "the kernel rounds values up to 8 bytes");
  auto memory = internal::map_memory(descriptor, entries * sizeof(T));
  if (!memory) return memory.error();
  return SharedArray(std::span(static_cast<T*>(*memory), entries));
}

template <typename T>
SharedArray<T>::~SharedArray() {
  if (!values_.empty()) internal::unmap_memory(values_.data(), values_.size_bytes());
}

// One slot of a per-CPU array map: a value for each possible CPU. `values` is grown to that number.
Result<void> read_per_cpu(int descriptor, std::uint32_t key, std::size_t value_size, void* values);
std::size_t possible_cpus();

// The same, summed over CPUs; T: a struct of 64-bit counters.
template <typename T>
Result<T> read_per_cpu_sum(int descriptor, std::uint32_t key) {
  static_assert(sizeof(T) % sizeof(std::uint64_t) == 0);
  std::vector<T> copies(possible_cpus());
  if (auto read = read_per_cpu(descriptor, key, sizeof(T), copies.data()); !read) return read.error();
  // Copied word by word: the kernel's 64-bit type is not the one of <cstdint>.
  constexpr std::size_t kWords = sizeof(T) / sizeof(std::uint64_t);
  std::uint64_t sums[kWords] = {};
  for (const T& copy : copies) {
    std::uint64_t words[kWords];
    std::memcpy(words, &copy, sizeof copy);
    for (std::size_t i = 0; i < kWords; ++i) sums[i] += words[i];
  }
  T sum;
  std::memcpy(&sum, sums, sizeof sum);
  return sum;
}

// Runs a loaded XDP or classifier program once on `packet`, without a network, and returns its verdict.
// XDP refuses packets below 14 bytes.
Result<std::uint32_t> test_run(int program, std::span<const std::uint8_t> packet);

}  // namespace evenkeel::bpf

// Memory that is reserved once, at start-up, and given back at the end: the bound on what a part of the
// program can ever use. Address space is reserved at once; a page becomes resident when it is first touched.
//
// Thread: made and destroyed by one thread; the bytes belong to whom the user gives them.
#pragma once

#include <cstddef>
#include <utility>

#include "evenkeel/result.h"

namespace evenkeel::base {

enum class PageSize {
  kOrdinary,  // what the kernel gives
  kHuge,      // asks for transparent huge pages (2 MB on x86-64); the kernel may give ordinary ones instead
};

class ReservedMemory {
 public:
  // Zeroed memory, aligned to a huge page where `pages` is kHuge and to a page otherwise. A runtime error
  // where the system refuses.
  static Result<ReservedMemory> reserve(std::size_t bytes, PageSize pages);

  ReservedMemory() = default;
  ReservedMemory(ReservedMemory&& other) noexcept
      : mapping_(std::exchange(other.mapping_, nullptr)),
        mapped_bytes_(std::exchange(other.mapped_bytes_, 0)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  ReservedMemory& operator=(ReservedMemory&& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(mapped_bytes_, other.mapped_bytes_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~ReservedMemory();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

  // Makes all of it resident now, so that no page fault comes later. Takes about 0.1 ms a megabyte with
  // ordinary pages. A runtime error where memory is short.
  Result<void> populate();

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace evenkeel::base

// Errors as values: what operation brings (a bad file, a missing right, a wrong option) is returned, never
// thrown.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace evenkeel {

enum class ErrorKind {
  kUsage,    // the caller asked for something that cannot be: exit code 2
  kRuntime,  // the world did not allow it: exit code 1
};

// One line for a person: what was wrong, and what would be right.
struct Error {
  ErrorKind kind = ErrorKind::kRuntime;
  std::string message;
};

// What a message quotes (a name, an expression) may have line ends: they become spaces.
inline Error make_error(ErrorKind kind, std::string message) {
  for (char& c : message)
    if (c == '\n' || c == '\r') c = ' ';
  return {kind, std::move(message)};
}
inline Error usage_error(std::string message) { return make_error(ErrorKind::kUsage, std::move(message)); }
inline Error runtime_error(std::string message) {
  return make_error(ErrorKind::kRuntime, std::move(message));
}

// A value, or the reason why there is none. Reading the side that is not there is a bug of the caller.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & { return std::get<0>(content_); }
  const T& value() const& { return std::get<0>(content_); }
  T&& value() && { return std::get<0>(std::move(content_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::get<0>(std::move(content_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const { return std::get<1>(content_); }

 private:
  std::variant<T, Error> content_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace evenkeel

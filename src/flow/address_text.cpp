#include "flow/address_text.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace evenkeel::flow {

namespace {

// Each byte as text, with a dot behind it.
struct ByteText {
  char text[4];
  std::uint8_t length;  // with the dot
};

constexpr auto kByteTexts = [] {
  std::array<ByteText, 256> all{};
  for (unsigned value = 0; value < all.size(); ++value) {
    ByteText& one = all[value];
    for (unsigned unit = 100; unit != 0; unit /= 10) {
      if (value >= unit || unit == 1) one.text[one.length++] = static_cast<char>('0' + value / unit % 10);
    }
    one.text[one.length++] = '.';
  }
  return all;
}();

}  // namespace

char* append_ipv4(char* out, const AddressBytes& address) {
  for (int i = 0; i < 4; ++i) {
    const ByteText& byte = kByteTexts[address[i]];
    std::memcpy(out, byte.text, sizeof byte.text);
    out += byte.length;
  }
  return out - 1;  // without the last dot
}

char* append_ipv6(char* out, const AddressBytes& address) {
  char text[INET6_ADDRSTRLEN];
  CHECK(inet_ntop(AF_INET6, address.data(), text, sizeof text) != nullptr);
  const std::size_t length = std::strlen(text);
  std::memcpy(out, text, length);
  return out + length;
}

}  // namespace evenkeel::flow

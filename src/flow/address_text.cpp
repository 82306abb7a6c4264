#include "flow/address_text.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstring>

#include "base/check.h"

namespace evenkeel::flow {

char* append_ipv4(char* out, const AddressBytes& address) {
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *out++ = '.';
    out = std::to_chars(out, out + 3, address[i]).ptr;
  }
  return out;
}

char* append_ipv6(char* out, const AddressBytes& address) {
  char text[INET6_ADDRSTRLEN];
  CHECK(inet_ntop(AF_INET6, address.data(), text, sizeof text) != nullptr);
  const std::size_t length = std::strlen(text);
  std::memcpy(out, text, length);
  return out + length;
}

}  // namespace evenkeel::flow

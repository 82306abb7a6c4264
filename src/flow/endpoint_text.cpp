#include <string_view>

#include "evenkeel/endpoint.h"
#include "flow/address_text.h"

namespace evenkeel {

std::string address_text(const Endpoint& endpoint) {
  char text[flow::kIpv6TextMax];
  const char* end = endpoint.ip_version == 4 ? flow::append_ipv4(text, endpoint.address)
                                             : flow::append_ipv6(text, endpoint.address);
  return {text, static_cast<std::size_t>(end - text)};
}

std::string to_string(const Endpoint& endpoint) {
  const std::string address = address_text(endpoint);
  const std::string port = std::to_string(endpoint.port);
  return endpoint.ip_version == 4 ? address + ":" + port : "[" + address + "]:" + port;
}

}  // namespace evenkeel

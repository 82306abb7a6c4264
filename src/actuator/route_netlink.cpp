#include "actuator/route_netlink.h"

#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "base/file_descriptor.h"

namespace evenkeel::actuator {
namespace {

using Answer = std::array<std::byte, 32'768>;

// Sends and receives one message; the number of bytes of the answer, or 0.
std::size_t ask(const void* request, std::size_t size, Answer& answer) {
  const base::FileDescriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid() || send(socket.get(), request, size, 0) != static_cast<ssize_t>(size)) return 0;
  const ssize_t received = recv(socket.get(), answer.data(), answer.size(), 0);
  return received > 0 ? static_cast<std::size_t>(received) : 0;
}

// The 4-byte attribute `kind` behind a header of `header_size` bytes.
std::optional<std::int32_t> find_attribute(const Answer& answer, std::size_t size, std::size_t header_size,
                                           std::uint16_t kind) {
  nlmsghdr message;
  if (size < sizeof message) return std::nullopt;
  std::memcpy(&message, answer.data(), sizeof message);
  if (message.nlmsg_type == NLMSG_ERROR) return std::nullopt;
  for (std::size_t at = NLMSG_LENGTH(NLMSG_ALIGN(header_size)); at + sizeof(rtattr) <= size;) {
    rtattr attribute;
    std::memcpy(&attribute, answer.data() + at, sizeof attribute);
    if (attribute.rta_len < sizeof attribute || at + attribute.rta_len > size) break;
    if ((attribute.rta_type & NLA_TYPE_MASK) == kind && attribute.rta_len >= RTA_LENGTH(4)) {
      std::int32_t value = 0;
      std::memcpy(&value, answer.data() + at + RTA_LENGTH(0), sizeof value);
      return value;
    }
    at += RTA_ALIGN(attribute.rta_len);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::int32_t> peer_namespace_identity(int interface_index) {
  struct {
    nlmsghdr message;
    ifinfomsg header;
  } request{};
  request.message = {.nlmsg_len = NLMSG_LENGTH(sizeof(ifinfomsg)),
                     .nlmsg_type = RTM_GETLINK,
                     .nlmsg_flags = NLM_F_REQUEST,
                     .nlmsg_seq = 1,
                     .nlmsg_pid = 0};
  request.header.ifi_index = interface_index;
  Answer answer;
  const std::size_t size = ask(&request, request.message.nlmsg_len, answer);
  return find_attribute(answer, size, sizeof(ifinfomsg), IFLA_LINK_NETNSID);
}

std::optional<std::int32_t> namespace_identity(int descriptor) {
  constexpr std::size_t kHeader = NLMSG_ALIGN(sizeof(rtgenmsg));
  struct {
    nlmsghdr message;
    rtgenmsg header;
    char padding[kHeader - sizeof(rtgenmsg)];
    rtattr attribute;
    std::int32_t value;
  } request{};
  static_assert(offsetof(decltype(request), attribute) == NLMSG_LENGTH(kHeader));
  request.message = {.nlmsg_len = sizeof request,
                     .nlmsg_type = RTM_GETNSID,
                     .nlmsg_flags = NLM_F_REQUEST,
                     .nlmsg_seq = 1,
                     .nlmsg_pid = 0};
  request.attribute = {.rta_len = RTA_LENGTH(4), .rta_type = NETNSA_FD};
  request.value = descriptor;
  Answer answer;
  const std::size_t size = ask(&request, sizeof request, answer);
  const auto identity = find_attribute(answer, size, sizeof(rtgenmsg), NETNSA_NSID);
  return identity && *identity >= 0 ? identity : std::nullopt;
}

}  // namespace evenkeel::actuator

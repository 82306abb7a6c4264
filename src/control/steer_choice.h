// Which way of steering `auto` takes: the card's own table costs nothing for each packet, but does less than
// an XDP program can.
//
// Thread: [any]. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "actuator/nic_table/card.h"

namespace evenkeel::control {

// What the operator wants of steering.
struct SteerWish {
  std::size_t cpus = 1;       // to steer to
  bool chooses_cpus = false;  // not simply all that are online
  bool inner_tunnel = false;
  bool strict_order = false;
};

// Why a card's table does not do what is wished for; nothing: it does.
std::optional<std::string> why_not_table(const actuator::Card& card, const SteerWish& wish);

}  // namespace evenkeel::control

#include "control/steer_choice.h"

#include <fmt/core.h>

namespace evenkeel::control {

std::optional<std::string> why_not_table(const actuator::Card& card, const SteerWish& wish) {
  if (card.table.empty()) return "the card has no table to write";
  if (!card.toeplitz || !card.fields_known) return "the card does not tell how it hashes";
  if (wish.chooses_cpus) return "CPUs were chosen, and a card's table names queues";
  if (wish.inner_tunnel) return "the card hashes tunnels by their outer addresses";
  if (wish.strict_order) return "what is in flight in the card cannot be seen, which strict order needs";
  if (card.queues < 2 || card.queues < wish.cpus)
    return fmt::format("the card has {} queue{} for {} CPUs", card.queues, card.queues == 1 ? "" : "s",
                       wish.cpus);
  return std::nullopt;
}

}  // namespace evenkeel::control

#include "source/generator/group_choice.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace evenkeel::source {

GroupChoice::GroupChoice(const Profile& profile, std::uint32_t connections) : tickets_(kTickets) {
  for (const GroupShape& shape : profile.groups) add(shape, connections);
  CHECK(!groups_.empty() && groups_.size() <= kTickets);
  print_tickets();
}

void GroupChoice::add(const GroupShape& shape, std::uint32_t connections) {
  const auto all = static_cast<std::uint32_t>(std::lround(shape.connection_share * connections));
  const std::uint32_t parts = shape.connection_share > 0 ? std::clamp(all, 1u, shape.parts) : shape.parts;
  const auto zipf = [&shape](std::uint32_t part) { return std::pow(part + 1.0, -shape.zipf); };
  double sum = 0;
  for (std::uint32_t part = 0; part < parts; ++part) sum += zipf(part);
  for (std::uint32_t part = 0; part < parts; ++part) {
    const double weight = shape.packet_share * zipf(part) / sum / shape.train_packets;
    const std::uint32_t count = std::max(1u, all / parts + (part < all % parts ? 1u : 0u));
    groups_.push_back({this->connections(), count, &shape, weight, weight});
  }
}

std::uint32_t GroupChoice::connections() const {
  return groups_.empty() ? 0 : groups_.back().first_connection + groups_.back().connections;
}

// Gives each group tickets in proportion to its weight, rounding so that the sum is exact.
void GroupChoice::print_tickets() {
  double total = 0;
  for (const Group& group : groups_) total += group.weight;
  double reached = 0;
  std::size_t printed = 0;
  for (std::size_t index = 0; index < groups_.size(); ++index) {
    reached += groups_[index].weight;
    const bool last = index + 1 == groups_.size();
    const auto end = last ? kTickets : static_cast<std::size_t>(std::lround(reached / total * kTickets));
    std::fill(tickets_.begin() + printed, tickets_.begin() + end, static_cast<std::uint16_t>(index));
    printed = end;
  }
}

void GroupChoice::wander(base::Random& random, double step) {
  constexpr double kReturn = 0.02;  // back to the start in some 50 steps, so that the spread stays bounded
  for (Group& group : groups_) {
    const double away = std::log(group.weight / group.start_weight);
    group.weight = group.start_weight * std::exp(away * (1 - kReturn) + step * random.normal());
  }
  print_tickets();
}

}  // namespace evenkeel::source

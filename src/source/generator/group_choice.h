// Which group of connections sends next: by weight, in constant time, from a table of tickets.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "source/generator/profile.h"

namespace evenkeel::source {

// A run of connections that are equally likely to send next.
struct Group {
  std::uint32_t first_connection = 0;
  std::uint32_t connections = 0;
  const GroupShape* shape = nullptr;
  double start_weight = 0;  // likelihood to begin a train
  double weight = 0;        // the same now, where loads wander
};

class GroupChoice {
 public:
  GroupChoice(const Profile& profile, std::uint32_t connections);

  // A group by its weight, from 14 random bits.
  static constexpr unsigned kTicketBits = 14;
  std::uint16_t draw(std::uint64_t random_bits) const { return tickets_[random_bits % kTickets]; }

  const Group& operator[](std::uint16_t index) const { return groups_[index]; }
  const std::vector<Group>& groups() const { return groups_; }
  std::uint32_t connections() const;  // of all groups: at least one each, so perhaps more than asked for

  // One step of a random walk of all weights.
  void wander(base::Random& random, double step);

 private:
  static constexpr std::size_t kTickets = std::size_t{1} << kTicketBits;

  void add(const GroupShape& shape, std::uint32_t connections);
  void print_tickets();

  std::vector<Group> groups_;
  std::vector<std::uint16_t> tickets_;
};

}  // namespace evenkeel::source

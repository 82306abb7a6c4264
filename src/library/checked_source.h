// Stands before a source of an author's program: what it hands out wrongly ends it by an error instead of
// ending the process. And gives its packets its number in the run, and keeps their times within what sums of
// times can bear (base/time_range.h).
//
// Thread: as Source. Cost: a virtual call for each burst, and three comparisons and a store for each packet,
// in what is read next anyway.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>

#include "base/time_range.h"
#include "evenkeel/source.h"

namespace evenkeel::library {

class CheckedSource final : public Source {
 public:
  // number: of the source in the run, for Packet::source.
  CheckedSource(Source& inner, std::uint16_t number) : inner_(inner), number_(number) {}

  // kError for more packets than there was room for, and for a packet that is null, belongs to no block or
  // has no bytes behind its length; those before it are handed out. An end by kError always has an error().
  ReceiveStatus receive(std::span<Packet*> out, std::size_t& count) override;
  bool can_wait() const override { return inner_.can_wait(); }
  SourceStatistics statistics() const override { return inner_.statistics(); }
  std::optional<Error> error() const override { return error_ ? error_ : inner_.error(); }
  std::int64_t quiet_until_ns() const override {
    return std::min(inner_.quiet_until_ns(), base::kTimeMax_ns);
  }
  void closed() override { inner_.closed(); }
  std::string name() const override { return inner_.name(); }

 private:
  ReceiveStatus fail(std::string what);
  ReceiveStatus reason_given();

  Source& inner_;
  const std::uint16_t number_;
  std::optional<Error> error_;
};

}  // namespace evenkeel::library

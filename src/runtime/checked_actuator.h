// Stands before an engine's actuator and lets only moves through that can be made: a policy or an actuator of
// another author may be wrong, and the engine must not be.
//
// Thread: [control]. Cost: some steps for each move.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actuator/actuator.h"

namespace evenkeel::runtime {

class CheckedActuator : public actuator::Actuator {
 public:
  // policy: whose plans these are, for messages.
  CheckedActuator(actuator::Actuator& inner, std::uint32_t workers, std::string policy)
      : inner_(inner), workers_(workers), policy_(std::move(policy)), last_move_(inner.owners().size()) {}

  std::string_view name() const override { return inner_.name(); }
  bool ready() override { return inner_.ready(); }
  // A runtime error for a bucket or worker that is not there, a bucket that is moved twice, from another than
  // its owner, or to where it is; and where the moves before are still under way.
  Result<void> apply(std::span<const Move> moves) override;
  std::span<const ProcessorId> owners() const override { return inner_.owners(); }

 private:
  Result<void> check(const Move& move);

  actuator::Actuator& inner_;
  const std::uint32_t workers_;
  const std::string policy_;
  std::vector<std::uint64_t> last_move_;  // by bucket: the apply() that moved it last, from 1
  std::uint64_t applied_ = 0;
};

// Another author's actuator before an engine's: plans go its way, but what is true of the engine is asked of
// the engine.
class AuthorsActuator : public actuator::Actuator {
 public:
  AuthorsActuator(std::shared_ptr<actuator::Actuator> authors, actuator::Actuator& engines)
      : authors_(std::move(authors)), engines_(engines) {}

  std::string_view name() const override { return authors_->name(); }
  bool ready() override { return engines_.ready() && authors_->ready(); }
  // Of an error, a runtime error with the author's name in front.
  Result<void> apply(std::span<const Move> moves) override;
  std::span<const ProcessorId> owners() const override { return engines_.owners(); }

 private:
  std::shared_ptr<actuator::Actuator> authors_;
  actuator::Actuator& engines_;
};

}  // namespace evenkeel::runtime

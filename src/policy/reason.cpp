#include "evenkeel/policy.h"

namespace evenkeel {

std::string_view to_string(MoveReason reason) {
  switch (reason) {
    case MoveReason::kLevel:
      return "level";
    case MoveReason::kSwap:
      return "swap";
    case MoveReason::kIsolate:
      return "isolate";
    case MoveReason::kEvacuate:
      return "evacuate";
  }
  return "?";
}

}  // namespace evenkeel

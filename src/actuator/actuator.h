// Actuators, under the name by which the folders of this library know them.
#pragma once

#include "evenkeel/actuator.h"

namespace evenkeel::actuator {

using evenkeel::Actuator;

}  // namespace evenkeel::actuator

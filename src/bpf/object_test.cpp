#include "bpf/object.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "bpf/constants.h"
#include "bpf/images.h"

namespace evenkeel::bpf {
namespace {

TEST(ObjectTest, TheKernelsVerifierAcceptsEveryProgram) {
  if (geteuid() != 0) GTEST_SKIP() << "loading kernel programs needs root";
  for (const bool inner_tunnel : {false, true}) {
    Object object = Object::open(steer_image());
    object.set_configuration(evenkeel_steer_configuration{.bucket_mask = 0,
                                                          .inner_tunnel = inner_tunnel,
                                                          .gap_ns = 0,
                                                          .batches_until_delivered = 2,
                                                          .task_state_offset = 24});
    const auto loaded = object.load();
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    for (const bool like_card : {false, true}) {
      Object observer = Object::open(observe_image());
      observer.set_configuration(evenkeel_observe_configuration{
          .bucket_mask = 0, .inner_tunnel = inner_tunnel, .like_card = like_card, .card_ports = 15});
      const auto observes = observer.load();
      EXPECT_TRUE(observes.ok()) << observes.error().message;
    }
  }
}

}  // namespace
}  // namespace evenkeel::bpf

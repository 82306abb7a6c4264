#include "actuator/xdp_owner.h"

#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>

#include <optional>

#include "bpf/constants.h"
#include "bpf/images.h"
#include "bpf/object.h"
#include "tests/two_hosts.h"

namespace evenkeel::actuator {
namespace {

using tests::Host;

TEST(XdpOwnerTest, AProgramThatWasSetAsideComesBackTheSame) {
  if (const std::string why = tests::TwoHosts::why_not(); !why.empty()) GTEST_SKIP() << why;
  tests::TwoHosts hosts;
  hosts
      .thread_on(
          Host::kB,
          [&] {
            bpf::Object object = bpf::Object::open(bpf::steer_image());
            object.set_configuration(evenkeel_steer_configuration{});
            ASSERT_TRUE(object.load().ok());
            const std::string name = hosts.interface(Host::kB);
            const int index = find_interface(name)->index;
            ASSERT_EQ(bpf_xdp_attach(index, object.program("evenkeel_steer"), XDP_FLAGS_SKB_MODE, nullptr),
                      0);
            const auto before = *find_interface(name);
            EXPECT_NE(before.xdp_program, 0);
            EXPECT_TRUE(before.xdp_generic);
            auto pin = keep_xdp_program(before);
            ASSERT_TRUE(pin.ok()) << pin.error().message;
            EXPECT_EQ(find_interface(name)->xdp_program, before.xdp_program) << "kept, not detached";
            ASSERT_TRUE(put_xdp_program_back(index, *pin, before.xdp_generic).ok()) << "attached still";
            EXPECT_EQ(find_interface(name)->xdp_program, before.xdp_program);
            pin = keep_xdp_program(before);
            ASSERT_TRUE(keep_xdp_program(before).ok()) << "left by one that was killed";
            ASSERT_TRUE(detach_xdp_program(before).ok());
            EXPECT_EQ(find_interface(name)->xdp_program, 0);
            const auto back = put_xdp_program_back(index, *pin, before.xdp_generic);
            ASSERT_TRUE(back.ok()) << back.error().message;
            EXPECT_EQ(find_interface(name)->xdp_program, before.xdp_program);
            EXPECT_NE(access(pin->c_str(), F_OK), 0) << "the pin is gone";
          })
      .join();
}

}  // namespace
}  // namespace evenkeel::actuator

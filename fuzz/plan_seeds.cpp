// usage: fuzz_plan_seeds FOLDER: writes loads of every form that `evenkeel plan` reads, as seeds for
// fuzz_plan.
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "packet_builder.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  // Six bytes of options: see plan.cpp.
  const std::string csv(std::string("\x01\x04\x00\x00\x00\x00", 6) +
                        "load\n# measured\n1\n2.5\n3e-1\n0\n4\n1\n");
  const std::string rounds(std::string("\x04\x02\x00\x00\x00\x00", 6) + "1,2,3,4\n2,2,3,3\n4,1,1,2\n");
  const std::string assigned(std::string("\x20\x02\x03\x05\x01\x00", 6) + "0\n1\n1\n0\n" + '\0' +
                             "1\n2\n3\n4\n");
  const std::string json(
      std::string("\x00\x00\x01\x00\x00\x02", 6) +
      R"({"balance":{"bucket_loads":[0.1,0.2,0.05,0.4],"bucket_owners":[0,1,0,1]},)"
      R"("workers":[{"busy_fraction":0.4,"capacity":1},{"busy_fraction":0.5,"capacity":0.5}]})");
  int number = 0;
  for (const std::string& seed : {csv, rounds, assigned, json}) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(seed.data());
    evenkeel::tests::write_file(std::filesystem::path(argv[1]) / std::to_string(number++),
                                {bytes, seed.size()});
  }
  return 0;
}

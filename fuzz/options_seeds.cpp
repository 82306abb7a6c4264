// usage: fuzz_options_seeds FOLDER: writes a line with every option of each command, and the other texts that
// fuzz_options reads, as seeds.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "cli/plan_options.h"
#include "cli/run_options.h"
#include "cli/simulate_options.h"
#include "cli/steer_options.h"
#include "packet_builder.h"

namespace {

using namespace evenkeel;

// Each option with what it is by default, or a number: one a line, as fuzz_options reads words.
template <typename Arguments>
std::vector<std::string> every_option(void (*add)(CLI::App&, Arguments&)) {
  CLI::App app;
  Arguments arguments;
  add(app, arguments);
  std::vector<std::string> lines;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty()) {
      lines.push_back("eth0");
    } else if (option->get_items_expected_max() == 0) {
      lines.push_back("--" + option->get_lnames().front());
    } else {
      const std::string value = option->get_default_str();
      lines.push_back("--" + option->get_lnames().front() + "=" + (value.empty() ? "1" : value));
    }
  }
  std::erase_if(lines, [](const std::string& line) { return line.starts_with("--help"); });
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  int number = 0;
  const auto write = [&](char subject, const std::string& text) {
    const std::string seed = subject + text;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(seed.data());
    tests::write_file(std::filesystem::path(argv[1]) / std::to_string(number++), {bytes, seed.size()});
  };
  const auto write_lines = [&](char subject, const std::vector<std::string>& lines) {
    write(subject, joined(lines));
    for (const std::string& line : lines) write(subject, line + "\n");
  };
  write_lines(0, every_option(cli::add_run_options));
  write_lines(1, every_option(cli::add_plan_options));
  write_lines(2, every_option(cli::add_simulate_options));
  write_lines(3, every_option(cli::add_steer_options));
  write(4, "input\na.pcap\nworkers\n4\nbuckets\n64\npin\n0-1\ncapacity\n1,1,0.5,2\nspeed\n2.5\n");
  write(4, "input\n-\nduration\n5s\nquantum\n10us\nhash\ncrc32c\npolicy\nlpt\ntunnel\ninner\nseed\n7\n");
  write(4,
        "snaplen\n96\nxdp-mode\nconsume\nqueue-limit-worker\n100\nqueue-limit-bucket\n30\nelephant-"
        "bytes\n2M\n");
  write(4, "elephant-window\n2s\nelephant-share\n0.5\nhalf-open-timeout\n3s\nqueue-limit-connection\n9\n");
  write(5, "campus,packets=100,connections=20,rate=1000\n");
  write(5, "backup\n");
  write(6, "[[rule]]\nnetwork = \"10.1.0.0/16\"\nport = 443\nprotocol = \"tcp\"\nweight = 4\n");
  return 0;
}

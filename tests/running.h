// Programs that run beside a test: what they printed, and how they ended.
#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace evenkeel::tests {

// What a command printed, and its exit code.
struct Ended {
  int code = -1;
  std::string output;

  // The last JSON line whose "event" is `event`.
  nlohmann::json event(const std::string& event) const {
    nlohmann::json found;
    for (std::size_t begin = 0; begin < output.size();) {
      const std::size_t end = std::min(output.find('\n', begin), output.size());
      const nlohmann::json line = nlohmann::json::parse(output.substr(begin, end - begin), nullptr, false);
      if (line.is_object() && line.value("event", "") == event) found = line;
      begin = end + 1;
    }
    return found;
  }
};

// A shell command that runs beside the test.
class Running {
 public:
  explicit Running(const std::string& command) : pipe_(popen(("exec " + command + " 2>&1").c_str(), "r")) {}
  Ended wait() {
    Ended ended;
    char piece[4096];
    for (std::size_t size = 0; (size = std::fread(piece, 1, sizeof piece, pipe_)) > 0;)
      ended.output.append(piece, size);
    const int status = pclose(pipe_);
    ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended;
  }
  // Reads up to a line that holds `text`.
  void wait_for(const std::string& text) {
    char line[4096];
    while (std::fgets(line, sizeof line, pipe_) != nullptr) {
      seen_ += line;
      if (std::string(line).find(text) != std::string::npos) return;
    }
  }
  const std::string& seen() const { return seen_; }

 private:
  FILE* pipe_;
  std::string seen_;
};

inline Ended run(const std::string& command) { return Running(command).wait(); }

}  // namespace evenkeel::tests

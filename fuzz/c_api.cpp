// Fuzzer of the C API: a byte stream is decoded into calls on handles, in any order, with null handles,
// arguments out of range and calls in the wrong order: all that evenkeel.h allows. Whatever is asked for, a
// status says how it went, its error fits to it, and an engine that ended has kept the laws.
//
// What would only take time is left out: files of this machine as input, and threads by the hundred.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "base/check.h"
#include "evenkeel.h"
#include "fuzz/support.h"

namespace evenkeel::fuzz {
namespace {

constexpr std::size_t kSlots = 3;  // handles of each kind
constexpr int kCallsMax = 200;
constexpr int kEnginesMax = 4;  // made by one input: threads are what takes time

// One a line otherwise.
// clang-format off
constexpr std::array<const char*, 30> kNames = {
    "input", "workers", "buckets", "filter", "hash",
    "hash-key", "policy", "interval", "queueing", "quantum",
    "pin", "capacity", "tunnel", "idle-timeout", "speed",
    "connections-max", "seed", "duration", "wrokers", "queueing-rules",
    "snaplen", "xdp-mode", "queue-limit-worker", "queue-limit-bucket", "elephant-bytes",
    "elephant-window", "elephant-share", "half-open-timeout", "queue-limit-connection", "",
};
// clang-format on

// Inputs that end, and after these, others. The last goes on for ever.
constexpr std::array<const char*, 6> kInputs = {"generator:campus,packets=300",
                                                "generator:flood,packets=200",
                                                "generator:backup,packets=50,connections=3",
                                                "/nonexistent/capture.pcap",
                                                "af_packet:nonexistent0",
                                                "generator:campus"};
constexpr std::array<const char*, 24> kValues = {
    "1",      "2",    "3",        "64",  "1000",     "0",      "-1",   "99999999999999999999",
    "1ms",    "10us", "1h",       "1ns", "toeplitz", "crc32c", "fair", "fifo",
    "static", "lpt",  "standard", "max", "1,1",      "0.5",    "auto", "off"};

struct OptionsHandle {
  evenkeel_options* options = nullptr;
  bool ends = true;  // an engine made of it ends by itself
};

struct EngineHandle {
  evenkeel_engine* engine = nullptr;
  bool ends = false;
};

struct Handles {
  std::array<OptionsHandle, kSlots> options;
  std::array<evenkeel_source*, kSlots> sources{};
  std::array<EngineHandle, kSlots> engines;
  int engines_made = 0;
};

void check_status(evenkeel_status status, const evenkeel_error& error) {
  CHECK(status == error.status);
  CHECK(std::memchr(error.message, '\0', sizeof error.message) != nullptr);
  CHECK((status == EVENKEEL_OK) == (error.message[0] == '\0'));
  CHECK(std::strchr(error.message, '\n') == nullptr);
}

// --- What a C program would do in its handler: by the bytes of the packet, all of the connection's calls.

void use_connection(evenkeel_connection* connection, std::uint8_t choice) {
  auto* state = static_cast<std::uint8_t*>(evenkeel_connection_state(connection));
  state[choice % 8] ^= choice;
  constexpr std::array<std::int64_t, 5> kDelays = {0, 1, 5'000'000, -1,
                                                   std::numeric_limits<std::int64_t>::max()};
  evenkeel_connection_start_timer(connection, choice % 6, kDelays[choice % kDelays.size()]);
  if (choice % 7 == 0) evenkeel_connection_cancel_timer(connection, choice % 6);
  if (choice % 32 == 31) evenkeel_connection_bypass(connection);
  char text[56];
  const evenkeel_endpoint end =
      choice % 2 == 0 ? evenkeel_connection_initiator(connection) : evenkeel_connection_responder(connection);
  evenkeel_endpoint_text(&end, text, 1u + choice % sizeof text);
  (void)evenkeel_connection_is_elephant(connection);
  (void)evenkeel_connection_now_ns(connection);
}

void on_open(void*, evenkeel_connection* connection, const evenkeel_packet* packet) {
  const auto* state = static_cast<const std::uint8_t*>(evenkeel_connection_state(connection));
  for (int i = 0; i < 8; ++i) CHECK(state[i] == 0);
  CHECK(packet->forward);
}
void on_packet(void*, evenkeel_connection* connection, const evenkeel_packet* packet) {
  CHECK(packet->captured_length > 0);
  use_connection(connection, packet->data[packet->captured_length - 1]);
}
void on_timer(void*, evenkeel_connection* connection, std::uint32_t timer) {
  CHECK(timer < EVENKEEL_TIMERS_MAX);
  use_connection(connection, static_cast<std::uint8_t>(timer));
}
void on_close(void*, evenkeel_connection* connection, evenkeel_close_reason) {
  use_connection(connection, 3);
}
void on_idle(void*) {}
void* make_worker(void*, std::uint32_t number) { return new std::uint32_t(number); }
void free_worker(void* worker) { delete static_cast<std::uint32_t*>(worker); }

evenkeel_handler handler_of(std::uint8_t choice) {
  evenkeel_handler handler{};
  handler.size = choice % 16 == 15 ? choice : choice % 16 == 14 ? choice & ~7u : sizeof handler;
  handler.state_bytes = choice % 8 == 7 ? 217u : 8u + choice % 200u;
  handler.timers = choice % 6;
  if (choice % 32 != 30) handler.on_packet = on_packet;
  if (choice % 4 != 0) handler.on_open = on_open;
  if (choice % 6 != 0) handler.on_timer = on_timer;
  if (choice % 3 != 0) handler.on_close = on_close;
  if (choice % 5 == 0) handler.on_idle = on_idle;
  if (choice % 9 == 0 && handler.size == sizeof handler) {
    handler.make_worker = make_worker;
    handler.free_worker = free_worker;
  }
  return handler;
}

// --- The calls

void options_new(Handles& handles, Input& input) {
  OptionsHandle& slot = handles.options[input.byte() % kSlots];
  evenkeel_options_free(slot.options);
  slot = {evenkeel_options_new(), true};
}

void options_free(Handles& handles, Input& input) {
  OptionsHandle& slot = handles.options[input.byte() % kSlots];
  evenkeel_options_free(slot.options);
  slot = {};
}

// A value from the list, or any text where it can do no more than be refused or take memory within reason.
std::string value_of(std::string_view name, Input& input, bool& ends) {
  const std::uint8_t choice = input.byte();
  if (name == "input") {
    ends &= choice % kInputs.size() + 1 != kInputs.size();
    return kInputs[choice % kInputs.size()];
  }
  if (name == "queueing-rules") return "/nonexistent/rules";
  ends &= name != "speed";
  if (choice % 4 != 3) return kValues[choice % kValues.size()];
  const std::string text(input.line().substr(0, 64));
  const bool number_matters =
      name == "workers" || name == "connections-max" || name == "buckets" || name.starts_with("queue-limit");
  return number_matters ? "4" : text;
}

void options_set(Handles& handles, Input& input) {
  OptionsHandle& slot = handles.options[input.byte() % kSlots];
  const std::uint8_t choice = input.byte();
  const char* const name = choice % 64 == 63 ? nullptr : kNames[choice % kNames.size()];
  std::string value = value_of(name == nullptr ? "" : name, input, slot.ends);
  if (name != nullptr && std::string_view(name) == "workers" && value.size() > 1 && value.size() < 10)
    value = "2";
  evenkeel_error error;
  const bool without_error = choice % 16 == 5;
  const evenkeel_status status =
      evenkeel_options_set(slot.options, name, value.c_str(), without_error ? nullptr : &error);
  if (!without_error) check_status(status, error);
  CHECK(status == EVENKEEL_OK || status == EVENKEEL_USAGE_ERROR);
  CHECK(slot.options != nullptr || status == EVENKEEL_USAGE_ERROR);
}

void source_new(Handles& handles, Input& input) {
  constexpr std::array<std::uint32_t, 6> kPackets = {64, 256, 1024, 0, 63, 0xffffffff};
  evenkeel_source*& slot = handles.sources[input.byte() % kSlots];
  evenkeel_source_free(slot);
  evenkeel_error error;
  const std::uint8_t choice = input.byte();
  const evenkeel_status status =
      evenkeel_source_new(choice % 32 == 31 ? nullptr : "fuzz", kPackets[choice % kPackets.size()],
                          choice % 2, choice % 32 == 30 ? nullptr : &slot, &error);
  check_status(status, error);
  if (choice % 32 >= 30) slot = nullptr;
  CHECK(choice % 32 >= 30 || (status == EVENKEEL_OK) == (slot != nullptr));
}

void source_free(Handles& handles, Input& input) {
  evenkeel_source*& slot = handles.sources[input.byte() % kSlots];
  evenkeel_source_free(slot);
  slot = nullptr;
}

void add_source(Handles& handles, Input& input) {
  OptionsHandle& slot = handles.options[input.byte() % kSlots];
  slot.ends = false;
  evenkeel_error error;
  check_status(evenkeel_options_add_source(slot.options, handles.sources[input.byte() % kSlots], &error),
               error);
}

void source_push(Handles& handles, Input& input) {
  evenkeel_source* const source = handles.sources[input.byte() % kSlots];
  const std::uint8_t choice = input.byte();
  std::string frame(input.bytes(choice % 128));
  if (choice >= 192) frame.resize(14 + 40 + choice);
  if (choice == 255) frame.resize(70'000);
  const void* const bytes = choice == 254 ? nullptr : frame.data();
  const std::int64_t time_ns = static_cast<std::int64_t>(input.byte()) << (input.byte() % 56);
  for (int i = choice % 16; i >= 0; --i) {
    const evenkeel_push_status status = evenkeel_source_push(source, bytes, frame.size(), time_ns);
    CHECK(status >= EVENKEEL_PUSH_TAKEN && status <= EVENKEEL_PUSH_WRONG);
    CHECK(source != nullptr || status == EVENKEEL_PUSH_WRONG);
  }
}

void source_time(Handles& handles, Input& input) {
  evenkeel_source* const source = handles.sources[input.byte() % kSlots];
  evenkeel_source_pass_time(source, static_cast<std::int64_t>(input.byte()) << (input.byte() % 64));
}

void source_end(Handles& handles, Input& input) {
  evenkeel_source_end(handles.sources[input.byte() % kSlots]);
}

void engine_new(Handles& handles, Input& input) {
  EngineHandle& slot = handles.engines[input.byte() % kSlots];
  const OptionsHandle& options = handles.options[input.byte() % kSlots];
  const evenkeel_handler handler = handler_of(input.byte());
  if (handles.engines_made == kEnginesMax) return;
  evenkeel_engine_free(slot.engine);
  slot = {nullptr, options.ends};
  evenkeel_error error;
  const evenkeel_status status = evenkeel_engine_new(options.options, &handler, &slot.engine, &error);
  check_status(status, error);
  CHECK((status == EVENKEEL_OK) == (slot.engine != nullptr));
  handles.engines_made += slot.engine != nullptr;
}

void engine_start(Handles& handles, Input& input) {
  evenkeel_error error;
  check_status(evenkeel_engine_start(handles.engines[input.byte() % kSlots].engine, &error), error);
}

void engine_stop(Handles& handles, Input& input) {
  evenkeel_engine_stop(handles.engines[input.byte() % kSlots].engine);
}

void check_laws(const evenkeel_engine* engine) {
  evenkeel_report report{};
  report.size = sizeof report;
  CHECK(evenkeel_engine_report(engine, &report, nullptr) == EVENKEEL_OK);
  CHECK(report.received == report.processed + report.malformed + report.unclassified + report.dropped);
  CHECK(report.order_violations == 0 && report.ownership_violations == 0);
}

void engine_wait(Handles& handles, Input& input) {
  const EngineHandle& slot = handles.engines[input.byte() % kSlots];
  const bool runs = (input.byte() & 1) != 0;
  if (!slot.ends) evenkeel_engine_stop(slot.engine);
  evenkeel_error error;
  const evenkeel_status status =
      runs ? evenkeel_engine_run(slot.engine, &error) : evenkeel_engine_wait(slot.engine, &error);
  check_status(status, error);
  if (status == EVENKEEL_OK) check_laws(slot.engine);
}

void engine_report(Handles& handles, Input& input) {
  const evenkeel_engine* const engine = handles.engines[input.byte() % kSlots].engine;
  const std::uint8_t choice = input.byte();
  evenkeel_report report{};
  report.size = choice % 4 == 0 ? choice : sizeof report;
  evenkeel_error error;
  check_status(evenkeel_engine_report(engine, choice == 255 ? nullptr : &report, &error), error);
  char* const text = evenkeel_engine_report_json(engine);
  CHECK((engine == nullptr) == (text == nullptr));
  CHECK(text == nullptr || text[0] == '{');
  evenkeel_text_free(text);
}

void engine_free(Handles& handles, Input& input) {
  EngineHandle& slot = handles.engines[input.byte() % kSlots];
  evenkeel_engine_free(slot.engine);
  slot = {};
}

void without_connection(Handles&, Input& input) {
  CHECK(evenkeel_connection_state(nullptr) == nullptr);
  CHECK(!evenkeel_connection_start_timer(nullptr, 0, 1));
  evenkeel_connection_bypass(nullptr);
  evenkeel_endpoint end{};
  const std::string_view bytes = input.bytes(sizeof end);
  std::memcpy(&end, bytes.data(), bytes.size());
  char text[64] = "";
  evenkeel_endpoint_text(&end, text, input.byte() % sizeof text);
  evenkeel_endpoint_text(nullptr, text, sizeof text);
}

constexpr std::array kCalls = {options_new, options_free, options_set,   options_set,  source_new,
                               source_free, add_source,   source_push,   source_push,  source_time,
                               source_end,  engine_new,   engine_new,    engine_start, engine_stop,
                               engine_wait, engine_wait,  engine_report, engine_free,  without_connection};

void run(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Handles handles;
  const bool engines_first = (input.byte() & 1) != 0;
  for (int i = 0; i < kCallsMax && !input.empty(); ++i) kCalls[input.byte() % kCalls.size()](handles, input);
  const auto free_engines = [&] {
    for (const EngineHandle& slot : handles.engines) evenkeel_engine_free(slot.engine);
  };
  if (engines_first) free_engines();
  for (evenkeel_source* source : handles.sources) evenkeel_source_free(source);
  for (const OptionsHandle& slot : handles.options) evenkeel_options_free(slot.options);
  if (!engines_first) free_engines();
}

}  // namespace
}  // namespace evenkeel::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  evenkeel::fuzz::run(data, size);
  return 0;
}

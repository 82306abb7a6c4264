// evenkeel.h, on top of the C++ interface. Nothing is thrown across it.

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "evenkeel.h"
#include "evenkeel/engine.h"
#include "evenkeel/push_source.h"
#include "library/option_text.h"

using evenkeel::Connection;
using evenkeel::Endpoint;
using evenkeel::Error;
using evenkeel::ErrorKind;
using evenkeel::Packet;
using evenkeel::Result;
using evenkeel::usage_error;

static_assert(EVENKEEL_STATE_BYTES_MAX == evenkeel::kStateBytesMax);
static_assert(EVENKEEL_TIMERS_MAX == evenkeel::kTimersMax);

struct evenkeel_options {
  evenkeel::Options options;
};

struct evenkeel_source {
  std::shared_ptr<evenkeel::PushSource> source;
};

namespace {

using evenkeel::detail::ConnectionView;
using evenkeel::detail::HandlerCalls;

// The functions of a C program, and what they are called with.
struct CHandler {
  evenkeel_handler functions;
  void* worker;
};

evenkeel_connection* handle(ConnectionView& view) { return reinterpret_cast<evenkeel_connection*>(&view); }
ConnectionView& view_of(evenkeel_connection* connection) {
  return *reinterpret_cast<ConnectionView*>(connection);
}
const ConnectionView& view_of(const evenkeel_connection* connection) {
  return *reinterpret_cast<const ConnectionView*>(connection);
}

evenkeel_packet shown(const Packet& packet, const ConnectionView& view) {
  return {.data = packet.data,
          .captured_length = packet.captured_length,
          .wire_length = packet.wire_length,
          .ip_octets = packet.ip_octets,
          .network_offset = packet.network_offset,
          .transport_offset = packet.transport_offset,
          .payload_offset = packet.payload_offset,
          .tcp_flags = packet.tcp_flags,
          .forward = packet.reversed() == view.forward_reversed,
          .time_ns = packet.time_ns,
          .sequence = packet.sequence};
}

void call_open(void* object, ConnectionView& view, const Packet& packet) {
  const CHandler& handler = *static_cast<CHandler*>(object);
  std::memset(view.state, 0, handler.functions.state_bytes);
  if (handler.functions.on_open == nullptr) return;
  const evenkeel_packet seen = shown(packet, view);
  handler.functions.on_open(handler.worker, handle(view), &seen);
}

void call_packet(void* object, ConnectionView& view, const Packet& packet) {
  const CHandler& handler = *static_cast<CHandler*>(object);
  const evenkeel_packet seen = shown(packet, view);
  handler.functions.on_packet(handler.worker, handle(view), &seen);
}

void call_timer(void* object, ConnectionView& view, std::uint32_t timer) {
  const CHandler& handler = *static_cast<CHandler*>(object);
  if (handler.functions.on_timer != nullptr) handler.functions.on_timer(handler.worker, handle(view), timer);
}

void call_close(void* object, ConnectionView& view, evenkeel::CloseReason reason) {
  const CHandler& handler = *static_cast<CHandler*>(object);
  if (handler.functions.on_close != nullptr)
    handler.functions.on_close(handler.worker, handle(view), static_cast<evenkeel_close_reason>(reason));
}

void call_idle(void* object) {
  const CHandler& handler = *static_cast<CHandler*>(object);
  handler.functions.on_idle(handler.worker);
}

evenkeel_status told(const Error& error, evenkeel_error* out) {
  const auto status = error.kind == ErrorKind::kUsage ? EVENKEEL_USAGE_ERROR : EVENKEEL_RUNTIME_ERROR;
  if (out == nullptr) return status;
  out->status = status;
  const std::size_t length = std::min(error.message.size(), sizeof out->message - 1);
  std::copy_n(error.message.begin(), length, out->message);
  out->message[length] = '\0';
  return status;
}

evenkeel_status told_success(evenkeel_error* out) {
  if (out != nullptr) *out = {EVENKEEL_OK, ""};
  return EVENKEEL_OK;
}

// Runs `body`, which gives a Result, and tells how it went.
template <typename Body>
evenkeel_status guarded(evenkeel_error* error, Body&& body) {
  try {
    const auto result = body();
    return result.ok() ? told_success(error) : told(result.error(), error);
  } catch (const std::bad_alloc&) {
    return told(evenkeel::runtime_error("no memory"), error);
  } catch (const std::exception& exception) {
    return told(evenkeel::runtime_error(exception.what()), error);
  }
}

evenkeel_endpoint to_c(const Endpoint& endpoint, std::uint8_t protocol) {
  evenkeel_endpoint result{};
  std::copy(endpoint.address.begin(), endpoint.address.end(), result.address);
  result.port = endpoint.port;
  result.ip_version = endpoint.ip_version;
  result.protocol = protocol;
  return result;
}

// Programs that were compiled with another version have another size, and zeros where they say nothing.
Result<evenkeel_handler> whole(const evenkeel_handler* handler) {
  constexpr std::size_t kSizeMin = offsetof(evenkeel_handler, on_packet) + sizeof(handler->on_packet);
  if (handler == nullptr) return usage_error("handler is NULL");
  // All members from there on are pointers.
  const std::size_t part_of_member = (handler->size - kSizeMin) % sizeof(void*);
  if (handler->size < kSizeMin || handler->size > sizeof *handler || part_of_member != 0)
    return usage_error("handler.size takes sizeof(evenkeel_handler), not " + std::to_string(handler->size));
  evenkeel_handler result{};
  std::memcpy(&result, handler, handler->size);
  if (result.on_packet == nullptr) return usage_error("handler.on_packet is NULL");
  if (result.timers != 0 && result.on_timer == nullptr)
    return usage_error("handler.timers is not 0, but handler.on_timer is NULL");
  return result;
}

}  // namespace

struct evenkeel_engine {
  ~evenkeel_engine() {
    core.reset();  // calls the handlers no more
    for (std::size_t i = 0; i < workers_made; ++i) free_worker(handlers[i]->worker);
  }

  std::vector<std::unique_ptr<CHandler>> handlers;
  std::size_t workers_made = 0;  // that are to be freed
  void (*free_worker)(void* worker) = nullptr;
  std::unique_ptr<evenkeel::detail::EngineCore> core;
};

namespace {

// When all else has been made, so that a program need not undo it where that fails.
void make_workers(const evenkeel_handler& functions, evenkeel_engine& engine) {
  if (functions.make_worker == nullptr) return;
  engine.free_worker = functions.free_worker;
  for (std::uint32_t i = 0; i < engine.handlers.size(); ++i) {
    engine.handlers[i]->worker = functions.make_worker(functions.context, i);
    if (functions.free_worker != nullptr) engine.workers_made = i + 1;
  }
}

Result<std::unique_ptr<evenkeel_engine>> make_engine(const evenkeel::Options& options,
                                                     const evenkeel_handler& functions) {
  if (auto checked = evenkeel::detail::check(options); !checked) return checked.error();
  auto engine = std::make_unique<evenkeel_engine>();
  std::vector<void*> objects;
  for (std::uint32_t i = 0; i < options.workers; ++i) {
    engine->handlers.push_back(std::make_unique<CHandler>(CHandler{functions, functions.context}));
    objects.push_back(engine->handlers.back().get());
  }
  const HandlerCalls calls{.state_bytes = functions.state_bytes,
                           .timers = functions.timers,
                           .open = call_open,
                           .packet = call_packet,
                           .timer = call_timer,
                           .close = call_close,
                           .idle = functions.on_idle == nullptr ? nullptr : call_idle,
                           .cost_ns = nullptr};
  auto core = evenkeel::detail::EngineCore::make(options, calls, objects);
  if (!core) return core.error();
  engine->core = std::move(*core);
  make_workers(functions, *engine);
  return engine;
}

}  // namespace

extern "C" {

uint32_t evenkeel_version(void) { return EVENKEEL_VERSION; }

evenkeel_options* evenkeel_options_new(void) { return new (std::nothrow) evenkeel_options; }
void evenkeel_options_free(evenkeel_options* options) { delete options; }

evenkeel_status evenkeel_options_set(evenkeel_options* options, const char* name, const char* value,
                                     evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (options == nullptr || name == nullptr || value == nullptr)
      return usage_error("options, name and value may not be NULL");
    return evenkeel::library::set_option(options->options, name, value);
  });
}

evenkeel_status evenkeel_source_new(const char* name, uint32_t packets_max, int engine_waits,
                                    evenkeel_source** source, evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (name == nullptr || source == nullptr) return usage_error("name and source may not be NULL");
    *source = nullptr;
    auto made = evenkeel::PushSource::make(
        {.name = name, .packets_max = packets_max, .engine_waits = engine_waits != 0});
    if (!made) return made.error();
    *source = new evenkeel_source{std::move(*made)};
    return {};
  });
}

void evenkeel_source_free(evenkeel_source* source) { delete source; }

evenkeel_status evenkeel_options_add_source(evenkeel_options* options, evenkeel_source* source,
                                            evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (options == nullptr || source == nullptr) return usage_error("options and source may not be NULL");
    options->options.sources.push_back(source->source);
    return {};
  });
}

evenkeel_push_status evenkeel_source_push(evenkeel_source* source, const void* bytes, size_t length,
                                          int64_t time_ns) {
  if (source == nullptr || (bytes == nullptr && length != 0)) return EVENKEEL_PUSH_WRONG;
  const evenkeel::PushPacket packet{.bytes = {static_cast<const std::uint8_t*>(bytes), length},
                                    .time_ns = time_ns};
  return static_cast<evenkeel_push_status>(source->source->push(packet));
}

void evenkeel_source_pass_time(evenkeel_source* source, int64_t now_ns) {
  if (source != nullptr) source->source->pass_time(now_ns);
}

void evenkeel_source_end(evenkeel_source* source) {
  if (source != nullptr) source->source->end();
}

void* evenkeel_connection_state(evenkeel_connection* connection) {
  return connection == nullptr ? nullptr : view_of(connection).state;
}
int64_t evenkeel_connection_now_ns(const evenkeel_connection* connection) {
  return connection == nullptr ? 0 : view_of(connection).now_ns;
}
int evenkeel_connection_is_elephant(const evenkeel_connection* connection) {
  return connection != nullptr && view_of(connection).elephant;
}
void evenkeel_connection_bypass(evenkeel_connection* connection) {
  if (connection != nullptr) view_of(connection).bypassed = true;
}
int evenkeel_connection_start_timer(evenkeel_connection* connection, uint32_t timer, int64_t delay_ns) {
  return connection != nullptr &&
         evenkeel::detail::start_timer(view_of(connection), timer, std::chrono::nanoseconds(delay_ns));
}
int evenkeel_connection_cancel_timer(evenkeel_connection* connection, uint32_t timer) {
  return connection != nullptr && Connection<char>(view_of(connection)).cancel_timer(timer);
}

evenkeel_endpoint evenkeel_connection_initiator(const evenkeel_connection* connection) {
  if (connection == nullptr) return {};
  ConnectionView view = view_of(connection);
  return to_c(Connection<char>(view).initiator(), view.key->protocol);
}
evenkeel_endpoint evenkeel_connection_responder(const evenkeel_connection* connection) {
  if (connection == nullptr) return {};
  ConnectionView view = view_of(connection);
  return to_c(Connection<char>(view).responder(), view.key->protocol);
}

void evenkeel_endpoint_text(const evenkeel_endpoint* endpoint, char* text, size_t size) {
  if (text == nullptr || size == 0) return;
  text[0] = '\0';
  if (endpoint == nullptr) return;
  Endpoint from;
  std::copy(std::begin(endpoint->address), std::end(endpoint->address), from.address.begin());
  from.port = endpoint->port;
  from.ip_version = endpoint->ip_version;
  const std::string written = to_string(from);
  text[written.copy(text, size - 1)] = '\0';
}

evenkeel_status evenkeel_engine_new(const evenkeel_options* options, const evenkeel_handler* handler,
                                    evenkeel_engine** engine, evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (options == nullptr || engine == nullptr) return usage_error("options and engine may not be NULL");
    *engine = nullptr;
    const auto functions = whole(handler);
    if (!functions) return functions.error();
    auto made = make_engine(options->options, *functions);
    if (!made) return made.error();
    *engine = made->release();
    return {};
  });
}

void evenkeel_engine_free(evenkeel_engine* engine) { delete engine; }

evenkeel_status evenkeel_engine_start(evenkeel_engine* engine, evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (engine == nullptr) return usage_error("engine is NULL");
    return engine->core->start();
  });
}

evenkeel_status evenkeel_engine_wait(evenkeel_engine* engine, evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (engine == nullptr) return usage_error("engine is NULL");
    auto report = engine->core->wait();
    return report.ok() ? Result<void>() : report.error();
  });
}

evenkeel_status evenkeel_engine_run(evenkeel_engine* engine, evenkeel_error* error) {
  const evenkeel_status started = evenkeel_engine_start(engine, error);
  return started == EVENKEEL_OK ? evenkeel_engine_wait(engine, error) : started;
}

void evenkeel_engine_stop(evenkeel_engine* engine) {
  if (engine != nullptr) engine->core->stop();
}

evenkeel_status evenkeel_engine_input_error(const evenkeel_engine* engine, evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (engine == nullptr) return usage_error("engine is NULL");
    const auto failed = engine->core->report().input_error();
    return failed ? *failed : Result<void>();
  });
}

evenkeel_status evenkeel_engine_report(const evenkeel_engine* engine, evenkeel_report* report,
                                       evenkeel_error* error) {
  return guarded(error, [&]() -> Result<void> {
    if (engine == nullptr || report == nullptr) return usage_error("engine and report may not be NULL");
    // All members are as long.
    if (report->size < sizeof(size_t) || report->size > sizeof *report ||
        report->size % sizeof(uint64_t) != 0)
      return usage_error("report.size takes sizeof(evenkeel_report), not " + std::to_string(report->size));
    const evenkeel::Report full = engine->core->report();
    const evenkeel_report filled{.size = report->size,
                                 .received = full.packets.received,
                                 .processed = full.packets.processed,
                                 .malformed = total(full.packets.malformed),
                                 .unclassified = total(full.packets.unclassified),
                                 .dropped = total(full.packets.dropped),
                                 .connections_opened = full.connections.opened,
                                 .connections_closed = full.connections.closed,
                                 .connections_expired = full.connections.expired,
                                 .connections_evicted = full.connections.evicted,
                                 .connections_live = full.connections.live,
                                 .moves = full.moves,
                                 .order_violations = full.order_violations,
                                 .ownership_violations = full.ownership_violations,
                                 .elapsed_seconds = full.elapsed_seconds,
                                 .max_over_mean = full.max_over_mean,
                                 .static_max_over_mean = full.static_max_over_mean};
    std::memcpy(report, &filled, report->size);
    return {};
  });
}

char* evenkeel_engine_report_json(const evenkeel_engine* engine) {
  if (engine == nullptr) return nullptr;
  char* text = nullptr;
  guarded(nullptr, [&]() -> Result<void> {
    const std::string json = engine->core->report_json();
    text = static_cast<char*>(std::malloc(json.size() + 1));
    if (text != nullptr) std::memcpy(text, json.c_str(), json.size() + 1);
    return {};
  });
  return text;
}

void evenkeel_text_free(char* text) { std::free(text); }

}  // extern "C"

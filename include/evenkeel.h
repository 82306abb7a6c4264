/* evenkeel for C and for languages that call C: an engine with your functions in place of the flow meter.
 *
 * What is promised is what include/evenkeel/engine.h and handler.h promise; this is the same engine.
 *
 *   evenkeel_error error;
 *   evenkeel_options* options = evenkeel_options_new();
 *   evenkeel_handler handler = {.size = sizeof handler, .state_bytes = 8, .on_packet = on_packet};
 *   evenkeel_engine* engine = NULL;
 *   if (evenkeel_options_set(options, "input", "capture.pcap", &error) ||
 *       evenkeel_engine_new(options, &handler, &engine, &error) || evenkeel_engine_run(engine, &error))
 *     fprintf(stderr, "%s\n", error.message);
 *   evenkeel_engine_free(engine);
 *   evenkeel_options_free(options);
 *
 * Handles are opaque. Structs are made to grow: those that you fill begin with their size, those that you are
 * shown gain members at their end only. A function that can fail returns a status, 0 for success, and fills
 * `error`, which may be NULL. A null or wrong argument is a usage error, never a crash; a handle that was
 * freed is as for free().
 *
 * Threads: as in engine.h: new, start, run, wait and free of one engine by one thread at a time; stop and
 * report by any. Options are copied by evenkeel_engine_new(). In a function of the handler, wait and run of
 * its own engine are usage errors, and free of it is forbidden; stop is the way to end it from there.
 *
 * Only in C++: a policy and an actuator of one's own; a source that the engine asks (here, packets are
 * pushed: as Ethernet frames, whole); cost_ns() of a handler; the report as a struct with all it has (here,
 * its sums, and all of it as JSON); timers without packets (evenkeel/timer_service.h). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "evenkeel/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that the program runs with: major << 16 | minor << 8 | patch. */
#define EVENKEEL_VERSION (EVENKEEL_VERSION_MAJOR << 16 | EVENKEEL_VERSION_MINOR << 8 | EVENKEEL_VERSION_PATCH)
EVENKEEL_API uint32_t evenkeel_version(void);

typedef enum evenkeel_status {
  EVENKEEL_OK = 0,
  EVENKEEL_RUNTIME_ERROR = 1, /* the world did not allow it */
  EVENKEEL_USAGE_ERROR = 2    /* what was asked for cannot be */
} evenkeel_status;

typedef struct evenkeel_error {
  evenkeel_status status;
  char message[508]; /* one line, cut where it is longer; empty for EVENKEEL_OK */
} evenkeel_error;

/* --- What the engine is made of --- */

typedef struct evenkeel_options evenkeel_options;
typedef struct evenkeel_source evenkeel_source;

/* NULL only where there is no memory. */
EVENKEEL_API evenkeel_options* evenkeel_options_new(void);
EVENKEEL_API void evenkeel_options_free(evenkeel_options* options);

/* One option, as text. Names and values are those of `evenkeel run` without the dashes (docs/run.md): "input"
 * (once for each), "filter", "snaplen", "xdp-mode", "workers", "buckets", "hash", "hash-key", "policy",
 * "interval", "queueing", "quantum", "queueing-rules", "queue-limit-worker", "queue-limit-bucket",
 * "queue-limit-connection", "elephant-bytes", "elephant-window", "elephant-share", "pin", "capacity",
 * "tunnel", "idle-timeout", "half-open-timeout", "connections-max", "speed", "duration", "seed". Other
 * defaults than there: an input, or a source, must be given; of "snaplen", 0: whole packets. */
EVENKEEL_API evenkeel_status evenkeel_options_set(evenkeel_options* options, const char* name,
                                                  const char* value, evenkeel_error* error);

/* A source that the program pushes packets into. packets_max: that the engine may hold at once, 64 to
 * 1,048,576. engine_waits: 0: where a worker is too slow, packets are dropped and counted; else push finds no
 * room. */
EVENKEEL_API evenkeel_status evenkeel_source_new(const char* name, uint32_t packets_max, int engine_waits,
                                                 evenkeel_source** source, evenkeel_error* error);
/* The engines that were made of it go on. */
EVENKEEL_API void evenkeel_source_free(evenkeel_source* source);
/* A source feeds one engine at a time: while it does, making another of it is a usage error; when that engine
 * has ended, it is closed, and another engine of it is a usage error, too. "filter", "speed" and "duration"
 * are for inputs: with a source, they are usage errors. */
EVENKEEL_API evenkeel_status evenkeel_options_add_source(evenkeel_options* options, evenkeel_source* source,
                                                         evenkeel_error* error);

typedef enum evenkeel_push_status {
  EVENKEEL_PUSH_TAKEN = 0,
  EVENKEEL_PUSH_FULL = 1, /* try again, or let it go */
  EVENKEEL_PUSH_TOO_LONG = 2,
  EVENKEEL_PUSH_CLOSED = 3, /* after evenkeel_source_end(), or when the engine has ended */
  EVENKEEL_PUSH_WRONG = 4   /* a null argument */
} evenkeel_push_status;

/* An Ethernet frame, copied. time_ns: since 1970. One thread at a time for each source; likewise the next
 * two. */
EVENKEEL_API evenkeel_push_status evenkeel_source_push(evenkeel_source* source, const void* bytes,
                                                       size_t length, int64_t time_ns);
/* Time has come this far though no packet came. */
EVENKEEL_API void evenkeel_source_pass_time(evenkeel_source* source, int64_t now_ns);
/* No packet will come any more. */
EVENKEEL_API void evenkeel_source_end(evenkeel_source* source);

/* --- What is done with packets --- */

/* A connection, for the time of one call. */
typedef struct evenkeel_connection evenkeel_connection;

/* Readable for the time of one call. */
typedef struct evenkeel_packet {
  const uint8_t* data;
  uint32_t captured_length; /* bytes at data */
  uint32_t wire_length;
  uint32_t ip_octets;        /* of the IP datagram, header included */
  uint16_t network_offset;   /* of the IP header in data */
  uint16_t transport_offset; /* 0: there is none in the captured bytes */
  uint16_t payload_offset;   /* 0: not known; behind captured_length where not all was captured */
  uint8_t tcp_flags;         /* 0: none */
  uint8_t forward;           /* goes the way of the connection's first packet */
  int64_t time_ns;           /* since 1970, as captured */
  uint64_t sequence;         /* position at its source */
} evenkeel_packet;

typedef enum evenkeel_close_reason {
  EVENKEEL_CLOSE_IDLE = 0,
  EVENKEEL_CLOSE_ENDED = 1,
  EVENKEEL_CLOSE_EVICTED = 2,
  EVENKEEL_CLOSE_SHUTDOWN = 3
} evenkeel_close_reason;

/* Functions that are NULL are not called; on_packet must be there. `worker` is what make_worker() gave, or
 * `context` where there is none.
 *
 * make_worker() is called once for each worker, as the last that evenkeel_engine_new() does: where that
 * fails, it was not called. free_worker() is called once for each that was made, by evenkeel_engine_free(),
 * when nothing else is called any more. */
typedef struct evenkeel_handler {
  size_t size;          /* sizeof(evenkeel_handler) */
  uint32_t state_bytes; /* of each connection, zero at its start: 0 to EVENKEEL_STATE_BYTES_MAX */
  uint32_t timers;      /* of each connection: 0 to EVENKEEL_TIMERS_MAX */
  void* context;
  void* (*make_worker)(void* context, uint32_t number); /* 0 to workers - 1 */
  void (*on_open)(void* worker, evenkeel_connection* connection, const evenkeel_packet* packet);
  void (*on_packet)(void* worker, evenkeel_connection* connection, const evenkeel_packet* packet);
  void (*on_timer)(void* worker, evenkeel_connection* connection, uint32_t timer);
  void (*on_close)(void* worker, evenkeel_connection* connection, evenkeel_close_reason reason);
  void (*on_idle)(void* worker);
  void (*free_worker)(void* worker);
} evenkeel_handler;

#define EVENKEEL_STATE_BYTES_MAX 216
#define EVENKEEL_TIMERS_MAX 4

/* The state_bytes of the connection, aligned to 8. */
EVENKEEL_API void* evenkeel_connection_state(evenkeel_connection* connection);
EVENKEEL_API int64_t evenkeel_connection_now_ns(const evenkeel_connection* connection);
EVENKEEL_API int evenkeel_connection_is_elephant(const evenkeel_connection* connection);
EVENKEEL_API void evenkeel_connection_bypass(evenkeel_connection* connection);
/* 1 where it was done; 0 where there is no such timer or delay. */
EVENKEEL_API int evenkeel_connection_start_timer(evenkeel_connection* connection, uint32_t timer,
                                                 int64_t delay_ns);
/* 1 where it ran. */
EVENKEEL_API int evenkeel_connection_cancel_timer(evenkeel_connection* connection, uint32_t timer);

typedef struct evenkeel_endpoint {
  uint8_t address[16]; /* IPv4 in the first 4 bytes */
  uint16_t port;
  uint8_t ip_version; /* 4 or 6 */
  uint8_t protocol;   /* of the connection: 6 is TCP, 17 UDP */
} evenkeel_endpoint;

/* Who sent the first packet, and to whom. */
EVENKEEL_API evenkeel_endpoint evenkeel_connection_initiator(const evenkeel_connection* connection);
EVENKEEL_API evenkeel_endpoint evenkeel_connection_responder(const evenkeel_connection* connection);
/* "192.0.2.1:443", "[2001:db8::1]:443" and a final zero: at most 56 bytes. What is written is cut to `size`.
 */
EVENKEEL_API void evenkeel_endpoint_text(const evenkeel_endpoint* endpoint, char* text, size_t size);

/* --- The engine --- */

typedef struct evenkeel_engine evenkeel_engine;

EVENKEEL_API evenkeel_status evenkeel_engine_new(const evenkeel_options* options,
                                                 const evenkeel_handler* handler, evenkeel_engine** engine,
                                                 evenkeel_error* error);
/* Ends a run that nobody waited for. NULL does nothing. */
EVENKEEL_API void evenkeel_engine_free(evenkeel_engine* engine);

EVENKEEL_API evenkeel_status evenkeel_engine_start(evenkeel_engine* engine, evenkeel_error* error);
/* A source or an input that ended early by an error is no error here: see evenkeel_engine_input_error(). */
EVENKEEL_API evenkeel_status evenkeel_engine_wait(evenkeel_engine* engine, evenkeel_error* error);
/* start and wait. */
EVENKEEL_API evenkeel_status evenkeel_engine_run(evenkeel_engine* engine, evenkeel_error* error);
EVENKEEL_API void evenkeel_engine_stop(evenkeel_engine* engine);
/* After wait: success where all inputs and sources came to their end; else a runtime error, of the first that
 * ended early (a capture that is cut off). What came before was served all the same. */
EVENKEEL_API evenkeel_status evenkeel_engine_input_error(const evenkeel_engine* engine,
                                                         evenkeel_error* error);

typedef struct evenkeel_report {
  size_t size; /* sizeof(evenkeel_report), set by the caller: so much is filled */
  uint64_t received, processed, malformed, unclassified, dropped;
  uint64_t connections_opened, connections_closed, connections_expired, connections_evicted, connections_live;
  uint64_t moves;
  uint64_t order_violations, ownership_violations;
  double elapsed_seconds;
  double max_over_mean, static_max_over_mean;
} evenkeel_report;

EVENKEEL_API evenkeel_status evenkeel_engine_report(const evenkeel_engine* engine, evenkeel_report* report,
                                                    evenkeel_error* error);
/* All of it as JSON (docs/report.md). To be freed with evenkeel_text_free(); NULL for a null engine. */
EVENKEEL_API char* evenkeel_engine_report_json(const evenkeel_engine* engine);
EVENKEEL_API void evenkeel_text_free(char* text);

#ifdef __cplusplus
}
#endif

/* The C API as a C program uses it; c_api_test.cpp calls this and looks at what comes out. */
#include "c_api_test_program.h"

#include <evenkeel.h>
#include <string.h>

struct state {
  uint64_t packets;
  uint32_t timer_fired;
};

struct worker {
  struct c_api_counts* counts;
};

static void on_open(void* worker, evenkeel_connection* connection, const evenkeel_packet* packet) {
  struct c_api_counts* counts = worker;
  const struct state* state = evenkeel_connection_state(connection);
  counts->not_zero += state->packets != 0 || state->timer_fired != 0;
  counts->not_forward += !packet->forward;
  counts->opened += 1;
  counts->refused_timers += !evenkeel_connection_start_timer(connection, 7, 1000000);
  counts->refused_timers += !evenkeel_connection_start_timer(connection, 0, -1);
  evenkeel_connection_start_timer(connection, 0, 50000000);
}

static void on_packet(void* worker, evenkeel_connection* connection, const evenkeel_packet* packet) {
  struct c_api_counts* counts = worker;
  struct state* state = evenkeel_connection_state(connection);
  state->packets += 1;
  counts->packets += 1;
  counts->bytes += packet->wire_length;
  if (state->packets == counts->bypass_after) evenkeel_connection_bypass(connection);
}

static void on_timer(void* worker, evenkeel_connection* connection, uint32_t timer) {
  struct c_api_counts* counts = worker;
  struct state* state = evenkeel_connection_state(connection);
  state->timer_fired += timer == 0;
  counts->timers += 1;
}

static void on_close(void* worker, evenkeel_connection* connection, evenkeel_close_reason reason) {
  struct c_api_counts* counts = worker;
  const struct state* state = evenkeel_connection_state(connection);
  const evenkeel_endpoint end = evenkeel_connection_initiator(connection);
  evenkeel_endpoint_text(&end, counts->last_initiator, sizeof counts->last_initiator);
  counts->closed += 1;
  counts->closed_idle += reason == EVENKEEL_CLOSE_IDLE;
  counts->packets_of_closed += state->packets;
  counts->fired_of_closed += state->timer_fired;
}

static void* make_worker(void* context, uint32_t worker) { return (struct c_api_counts*)context + worker; }

int c_api_run(const char* input, struct c_api_counts* counts, struct c_api_outcome* outcome) {
  evenkeel_error error;
  evenkeel_handler handler = {.size = sizeof handler,
                              .state_bytes = sizeof(struct state),
                              .timers = 1,
                              .context = counts,
                              .make_worker = make_worker,
                              .on_open = on_open,
                              .on_packet = on_packet,
                              .on_timer = on_timer,
                              .on_close = on_close};
  evenkeel_report report = {.size = sizeof report};
  evenkeel_engine* engine = NULL;
  evenkeel_options* options = evenkeel_options_new();
  int failed = evenkeel_options_set(options, "input", input, &error) ||
               evenkeel_options_set(options, "workers", "2", &error) ||
               evenkeel_options_set(options, "idle-timeout", "1s", &error) ||
               evenkeel_engine_new(options, &handler, &engine, &error);
  evenkeel_options_free(options); /* the engine has its own */
  failed = failed || evenkeel_engine_run(engine, &error) || evenkeel_engine_report(engine, &report, &error);
  if (failed) {
    memcpy(outcome->message, error.message, sizeof outcome->message);
    outcome->message[sizeof outcome->message - 1] = '\0';
  } else {
    char* json = evenkeel_engine_report_json(engine);
    outcome->json_ok = json != NULL && strstr(json, "\"received\"") != NULL;
    evenkeel_text_free(json);
  }
  outcome->received = report.received;
  outcome->processed = report.processed;
  outcome->dropped = report.dropped;
  outcome->order_violations = report.order_violations;
  evenkeel_engine_free(engine);
  return failed;
}

static int push_all(evenkeel_source* source, const void* frame, size_t length, int count) {
  int taken = 0;
  while (taken < count) {
    const evenkeel_push_status status = evenkeel_source_push(source, frame, length, 1000000LL * taken);
    if (status == EVENKEEL_PUSH_TAKEN) taken += 1;
    if (status > EVENKEEL_PUSH_FULL) break;
  }
  return taken;
}

int c_api_push(const void* frame, size_t length, int count, struct c_api_counts* counts) {
  evenkeel_handler handler = {
      .size = sizeof handler, .on_packet = on_packet, .context = counts, .state_bytes = 16};
  evenkeel_engine* engine = NULL;
  evenkeel_source* source = NULL;
  evenkeel_options* options = evenkeel_options_new();
  int taken = -1;
  if (evenkeel_source_new("own loop", 256, 1, &source, NULL) == EVENKEEL_OK &&
      evenkeel_options_add_source(options, source, NULL) == EVENKEEL_OK &&
      evenkeel_options_set(options, "workers", "1", NULL) == EVENKEEL_OK &&
      evenkeel_engine_new(options, &handler, &engine, NULL) == EVENKEEL_OK &&
      evenkeel_engine_start(engine, NULL) == EVENKEEL_OK) {
    taken = push_all(source, frame, length, count);
    evenkeel_source_pass_time(source, 1000000LL * count);
    evenkeel_source_end(source);
    if (evenkeel_engine_wait(engine, NULL) != EVENKEEL_OK) taken = -1;
    if (evenkeel_source_push(source, frame, length, 0) != EVENKEEL_PUSH_CLOSED) taken = -2;
  }
  evenkeel_engine_free(engine);
  evenkeel_source_free(source);
  evenkeel_options_free(options);
  return taken;
}

static void ignore(void* worker, evenkeel_connection* connection, const evenkeel_packet* packet) {
  (void)worker;
  (void)connection;
  (void)packet;
}

/* Each line is a misuse; how many were not told as the usage errors that they are. */
int c_api_misuse(void) {
  evenkeel_options* options = evenkeel_options_new();
  evenkeel_engine* engine = (evenkeel_engine*)options;
  evenkeel_source* source = NULL;
  evenkeel_handler good = {.size = sizeof good, .on_packet = ignore};
  evenkeel_handler small = {.size = 8, .on_packet = ignore};
  evenkeel_handler large = {.size = sizeof large + 8, .on_packet = ignore};
  evenkeel_handler empty = {.size = sizeof empty};
  evenkeel_handler timers = {.size = sizeof timers, .on_packet = ignore, .timers = 1};
  evenkeel_handler states = {.size = sizeof states, .on_packet = ignore, .state_bytes = 1u << 31};
  evenkeel_report report = {.size = 4};
  evenkeel_error error;
  int wrong = 0;
  wrong += evenkeel_options_set(NULL, "workers", "1", &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_options_set(options, NULL, "1", &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_options_set(options, "workers", NULL, NULL) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_options_set(options, "wrokers", "1", &error) != EVENKEEL_USAGE_ERROR;
  wrong += strstr(error.message, "there is no option 'wrokers'") == NULL;
  wrong += evenkeel_options_set(options, "workers", "two", &error) != EVENKEEL_USAGE_ERROR;
  wrong += strcmp(error.message, "workers: takes 1 to 1024, not 'two'") != 0;
  wrong += evenkeel_options_set(options, "workers", "1\n2", &error) != EVENKEEL_USAGE_ERROR;
  wrong += strcmp(error.message, "workers: takes 1 to 1024, not '1 2'") != 0;
  wrong += evenkeel_options_set(options, "workers", "0", &error) != EVENKEEL_USAGE_ERROR;
  wrong += strcmp(error.message, "workers: takes 1 to 1024, not '0'") != 0;
  wrong += evenkeel_options_set(options, "workers", "99999999999", &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_options_set(options, "interval", "5", &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_options_set(options, "capacity", "1,,2", &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_options_set(options, "capacity", "auto", &error) != EVENKEEL_OK;
  wrong += evenkeel_engine_new(options, &good, &engine, &error) != EVENKEEL_USAGE_ERROR; /* no input */
  wrong += engine != NULL;
  wrong += evenkeel_options_set(options, "input", "generator:campus,packets=10", &error) != EVENKEEL_OK;
  wrong += evenkeel_engine_new(NULL, &good, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, NULL, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, &good, NULL, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, &small, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, &large, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, &empty, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, &timers, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_new(options, &states, &engine, &error) != EVENKEEL_USAGE_ERROR;
  for (size_t size = offsetof(evenkeel_handler, on_packet) + 1; size < sizeof good; ++size) {
    evenkeel_handler cut = good; /* as an older program's, which may end behind any member but within none */
    cut.size = size;
    if (size % sizeof(void*) == 0) continue;
    wrong += evenkeel_engine_new(options, &cut, &engine, &error) != EVENKEEL_USAGE_ERROR;
  }
  wrong += evenkeel_options_set(options, "capacity", "1,1,1", &error) != EVENKEEL_OK;
  wrong += evenkeel_engine_new(options, &good, &engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += strcmp(error.message, "capacity takes a number for each of 2 workers, not 3") != 0;
  wrong += evenkeel_options_set(options, "capacity", "auto", &error) != EVENKEEL_OK;
  wrong += evenkeel_source_new(NULL, 64, 0, &source, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_source_new("x", 1, 0, &source, &error) != EVENKEEL_USAGE_ERROR || source != NULL;
  wrong += evenkeel_options_add_source(options, NULL, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_source_push(NULL, "x", 1, 0) != EVENKEEL_PUSH_WRONG;
  wrong += evenkeel_engine_start(NULL, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_wait(NULL, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_run(NULL, NULL) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_report(NULL, &report, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_report_json(NULL) != NULL;
  wrong += evenkeel_engine_input_error(NULL, &error) != EVENKEEL_USAGE_ERROR;
  evenkeel_options_set(options, "workers", "1", &error);
  wrong += evenkeel_engine_new(options, &good, &engine, &error) != EVENKEEL_OK;
  wrong += error.message[0] != '\0';
  wrong += evenkeel_engine_wait(engine, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_report(engine, &report, &error) != EVENKEEL_USAGE_ERROR;
  report.size = 12;
  wrong += evenkeel_engine_report(engine, &report, &error) != EVENKEEL_USAGE_ERROR;
  wrong += evenkeel_engine_run(engine, &error) != EVENKEEL_OK;
  wrong += evenkeel_engine_run(engine, &error) != EVENKEEL_USAGE_ERROR;
  evenkeel_engine_stop(engine);
  evenkeel_engine_free(engine);
  evenkeel_engine_stop(NULL);
  evenkeel_engine_free(NULL);
  evenkeel_source_end(NULL);
  evenkeel_source_free(NULL);
  evenkeel_endpoint_text(NULL, NULL, 0);
  evenkeel_text_free(NULL);
  evenkeel_options_free(options);
  evenkeel_options_free(NULL);
  wrong += evenkeel_version() != EVENKEEL_VERSION;
  return wrong;
}

struct workshop {
  int made, freed;
  int objects[4];
};

static void* make_counted(void* context, uint32_t number) {
  struct workshop* workshop = context;
  workshop->made += 1;
  workshop->objects[number] = 1;
  return &workshop->objects[number];
}

static struct workshop workshop;

static void free_counted(void* worker) {
  int* object = worker;
  workshop.freed += *object == 1;
  *object = 2;
}

int c_api_workers_freed(void) {
  evenkeel_options* options = evenkeel_options_new();
  evenkeel_engine* engine = NULL;
  evenkeel_handler handler = {.size = sizeof handler,
                              .context = &workshop,
                              .make_worker = make_counted,
                              .on_packet = ignore,
                              .free_worker = free_counted};
  int wrong = 0;
  memset(&workshop, 0, sizeof workshop);
  evenkeel_options_set(options, "workers", "4", NULL);
  evenkeel_options_set(options, "input", "/nonexistent.pcap", NULL);
  wrong += evenkeel_engine_new(options, &handler, &engine, NULL) != EVENKEEL_RUNTIME_ERROR;
  wrong += workshop.made != 0 || workshop.freed != 0;
  evenkeel_options_free(options);
  options = evenkeel_options_new();
  evenkeel_options_set(options, "workers", "4", NULL);
  evenkeel_options_set(options, "input", "generator:campus,packets=1000", NULL);
  wrong += evenkeel_engine_new(options, &handler, &engine, NULL) != EVENKEEL_OK;
  wrong += evenkeel_engine_run(engine, NULL) != EVENKEEL_OK;
  wrong += workshop.made != 4 || workshop.freed != 0;
  evenkeel_engine_free(engine);
  wrong += workshop.freed != 4;
  /* Of a program from before free_worker was there. */
  handler.size = offsetof(evenkeel_handler, free_worker);
  wrong += evenkeel_engine_new(options, &handler, &engine, NULL) != EVENKEEL_OK;
  evenkeel_engine_free(engine);
  wrong += workshop.made != 8 || workshop.freed != 4;
  evenkeel_options_free(options);
  return wrong;
}

int c_api_input_error(const char* input, char* message, size_t size) {
  evenkeel_options* options = evenkeel_options_new();
  evenkeel_engine* engine = NULL;
  evenkeel_handler handler = {.size = sizeof handler, .on_packet = ignore};
  evenkeel_error error = {EVENKEEL_USAGE_ERROR, "not run"};
  if (evenkeel_options_set(options, "input", input, NULL) == EVENKEEL_OK &&
      evenkeel_engine_new(options, &handler, &engine, NULL) == EVENKEEL_OK &&
      evenkeel_engine_run(engine, NULL) == EVENKEEL_OK)
    evenkeel_engine_input_error(engine, &error);
  strncpy(message, error.message, size - 1);
  message[size - 1] = '\0';
  evenkeel_engine_free(engine);
  evenkeel_options_free(options);
  return (int)error.status;
}

/* Which services are used? Counts connections, packets and bytes by protocol and port of the responder.
 *
 * Shows the C API: a state for each connection, a table for each worker, and the tables put together at the
 * end.
 *
 *   c_counter INPUT [ROWS]     INPUT as `evenkeel run --input` takes it; how many services to name (10) */

#include <evenkeel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 2, PORTS = 65536 };

struct service {
  uint64_t connections, packets, bytes;
  uint16_t port;
  uint8_t protocol;
};

/* One for each worker: nothing is shared. */
struct worker {
  struct service tcp[PORTS], udp[PORTS];
};

/* One for each connection; all zero at its start. */
struct state {
  uint64_t packets, bytes;
};

static void* make_worker(void* context, uint32_t number) { return (struct worker*)context + number; }

static void on_packet(void* worker, evenkeel_connection* connection, const evenkeel_packet* packet) {
  struct state* state = evenkeel_connection_state(connection);
  (void)worker;
  state->packets += 1;
  state->bytes += packet->wire_length;
}

static void on_close(void* context, evenkeel_connection* connection, evenkeel_close_reason reason) {
  struct worker* worker = context;
  const struct state* state = evenkeel_connection_state(connection);
  const evenkeel_endpoint responder = evenkeel_connection_responder(connection);
  struct service* service;
  (void)reason;
  if (responder.protocol != 6 && responder.protocol != 17) return;
  service = responder.protocol == 6 ? &worker->tcp[responder.port] : &worker->udp[responder.port];
  service->connections += 1;
  service->packets += state->packets;
  service->bytes += state->bytes;
}

static void add(struct service* sum, const struct service* part) {
  sum->connections += part->connections;
  sum->packets += part->packets;
  sum->bytes += part->bytes;
}

static int heavier(const void* a, const void* b) {
  const struct service *first = a, *second = b;
  if (first->packets != second->packets) return first->packets < second->packets ? 1 : -1;
  return (first->port > second->port) - (first->port < second->port);
}

static void print(const struct worker* workers, size_t rows) {
  struct service* services = calloc(2 * PORTS, sizeof *services);
  size_t i;
  int w;
  if (services == NULL) return;
  for (i = 0; i < PORTS; ++i) {
    services[i].port = services[PORTS + i].port = (uint16_t)i;
    services[i].protocol = 6;
    services[PORTS + i].protocol = 17;
    for (w = 0; w < WORKERS; ++w) {
      add(&services[i], &workers[w].tcp[i]);
      add(&services[PORTS + i], &workers[w].udp[i]);
    }
  }
  qsort(services, 2 * PORTS, sizeof *services, heavier);
  printf("%-10s %12s %12s %14s\n", "service", "connections", "packets", "bytes");
  for (i = 0; i < rows && services[i].packets != 0; ++i) {
    char name[16];
    snprintf(name, sizeof name, "%s %u", services[i].protocol == 6 ? "tcp" : "udp", services[i].port);
    printf("%-10s %12llu %12llu %14llu\n", name, (unsigned long long)services[i].connections,
           (unsigned long long)services[i].packets, (unsigned long long)services[i].bytes);
  }
  free(services);
}

int main(int argc, char** argv) {
  struct worker* workers = calloc(WORKERS, sizeof *workers);
  evenkeel_options* options = evenkeel_options_new();
  evenkeel_engine* engine = NULL;
  evenkeel_error error = {EVENKEEL_USAGE_ERROR, "usage: c_counter INPUT [ROWS]"};
  evenkeel_handler handler = {.size = sizeof handler,
                              .state_bytes = sizeof(struct state),
                              .context = workers,
                              .make_worker = make_worker,
                              .on_packet = on_packet,
                              .on_close = on_close};
  char count[12];
  snprintf(count, sizeof count, "%d", WORKERS);
  if (workers == NULL || argc < 2 || evenkeel_options_set(options, "input", argv[1], &error) ||
      evenkeel_options_set(options, "workers", count, &error) ||
      evenkeel_engine_new(options, &handler, &engine, &error) || evenkeel_engine_run(engine, &error)) {
    fprintf(stderr, "c_counter: %s\n", error.message);
  } else {
    print(workers, argc > 2 ? strtoul(argv[2], NULL, 10) : 10);
    if (evenkeel_engine_input_error(engine, &error)) fprintf(stderr, "c_counter: %s\n", error.message);
  }
  evenkeel_engine_free(engine);
  evenkeel_options_free(options);
  free(workers);
  return (int)error.status;
}

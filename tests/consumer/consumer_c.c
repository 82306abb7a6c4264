#include <evenkeel.h>
#include <stdio.h>

static void on_packet(void* packets, evenkeel_connection* connection, const evenkeel_packet* packet) {
  (void)connection;
  (void)packet;
  ++*(unsigned long*)packets;
}

int main(void) {
  unsigned long packets = 0;
  evenkeel_error error = {EVENKEEL_OK, ""};
  evenkeel_handler handler = {.size = sizeof handler, .context = &packets, .on_packet = on_packet};
  evenkeel_options* options = evenkeel_options_new();
  evenkeel_engine* engine = NULL;
  if (evenkeel_options_set(options, "input", "generator:campus,packets=20000", &error) ||
      evenkeel_options_set(options, "workers", "1", &error) ||
      evenkeel_engine_new(options, &handler, &engine, &error) || evenkeel_engine_run(engine, &error))
    fprintf(stderr, "%s\n", error.message);
  evenkeel_engine_free(engine);
  evenkeel_options_free(options);
  printf("%lu packets\n", packets);
  return evenkeel_version() == EVENKEEL_VERSION ? (int)error.status : 1;
}

/* Between the C program (c_api_test_program.c) and the test that runs it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of one worker. */
struct c_api_counts {
  uint64_t bypass_after; /* 0: never */
  uint64_t opened, closed, closed_idle, packets, bytes, timers;
  uint64_t packets_of_closed, fired_of_closed;
  uint64_t not_zero, not_forward, refused_timers;
  char last_initiator[56];
  char padding[64];
};

struct c_api_outcome {
  uint64_t received, processed, dropped, order_violations;
  int json_ok;
  char message[256];
};

/* With 2 workers; 0 where it went well. */
int c_api_run(const char* input, struct c_api_counts* counts, struct c_api_outcome* outcome);
/* How many were taken; below 0 where something else went wrong. */
int c_api_push(const void* frame, size_t length, int count, struct c_api_counts* counts);
/* How many misuses were not told as such. */
int c_api_misuse(void);
/* How many workers were not made or freed as evenkeel.h says. */
int c_api_workers_freed(void);
/* The status, and the message, of a run over it: how its input ended. */
int c_api_input_error(const char* input, char* message, size_t size);

#ifdef __cplusplus
}
#endif

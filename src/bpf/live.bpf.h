// What the programs of live interfaces share: their configuration, and the worker of each bucket.
#pragma once

#include "bpf/hash.bpf.h"

SEC(".rodata.configuration") const volatile struct evenkeel_live_configuration configuration = {};

// Written by the process while packets pass.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct evenkeel_bucket_worker);
} bucket_workers SEC(".maps");

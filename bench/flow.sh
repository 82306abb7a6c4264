#!/usr/bin/env bash
# usage: bench/flow.sh PATH-OF-bench_flow: times and memory, and instructions a packet.
set -euo pipefail
program=$1
"$program"
command -v valgrind >/dev/null || { echo "valgrind is not installed: no instruction counts"; exit 0; }
# Two captures of different length: what they differ by is the packets' (a connection for each 25 of them).
instructions() {
  local capture
  capture=$("$program" --write-only --packets "$1" --connections "$2")
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --count "$capture" 2>&1 |
    sed -n 's/.*Collected : //p'
}
short=$(instructions 250000 10000)
long=$(instructions 1250000 50000)
count=$(((long - short) / 1000000))
verdict=MISSED
[ "$count" -gt 400 ] || verdict=met
echo "$count instructions a packet, JSON records included (bar 400: $verdict)"

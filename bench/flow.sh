#!/usr/bin/env bash
# usage: bench/flow.sh PATH-OF-bench_flow: times and memory; instructions and cache misses a packet, stage by stage.
set -euo pipefail
program=$1
"$program"
command -v valgrind >/dev/null || { echo "valgrind is not installed: no instruction counts"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Two captures of different length: what they differ by is the packets' (a connection for each 25 of them).
instructions() { # NAME PACKETS CONNECTIONS
  local capture
  capture=$("$program" --write-only --packets "$2" --connections "$3")
  valgrind --tool=callgrind --cache-sim=yes --callgrind-out-file="$folder/$1" "$program" --count "$capture" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}
short=$(instructions short 250000 10000)
long=$(instructions long 1250000 50000)
count=$(((long - short) / 1000000))
verdict=MISSED
[ "$count" -gt 400 ] || verdict=met
echo "$count instructions a packet, JSON records included (bar 400: $verdict)"
"$(dirname "$0")/stages" "$folder/long" "$folder/short" 1000000

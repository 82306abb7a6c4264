#!/usr/bin/env bash
# usage: bench/hash.sh PATH-OF-bench_hash: times, and instructions a hash (callgrind; what two runs of different
# length differ by, so that start-up does not count).
set -euo pipefail
program=$1
"$program"
command -v valgrind >/dev/null || { echo "valgrind is not installed: no instruction counts"; exit 0; }
instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" --only "$1" "$2" 2>&1 |
    sed -n 's/.*Collected : //p'
}
echo "instructions a hash, IPv4"
while read -r contender; do
  short=$(instructions "$contender" 100)
  long=$(instructions "$contender" 1100)
  printf '%-34s%10d\n' "$contender" $(((long - short) / 64000))
done < <("$program" --list)

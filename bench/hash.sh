#!/usr/bin/env bash
# usage: bench/hash.sh PATH-OF-bench_hash: times, and instructions a hash of IPv4.
set -euo pipefail
"$1"
exec "$(dirname "$0")/instructions" "$1"

#!/usr/bin/env bash
# usage: bench/parse.sh PATH-OF-bench_parse: times, and instructions a packet.
set -euo pipefail
"$1"
exec "$(dirname "$0")/instructions" "$1"

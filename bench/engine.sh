#!/usr/bin/env bash
# usage: bench/engine.sh PATH-OF-bench_engine: the contest, and instructions a packet.
set -euo pipefail
"$1"
exec "$(dirname "$0")/instructions" "$1" 32

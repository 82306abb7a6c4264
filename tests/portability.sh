#!/usr/bin/env bash
# Checks that the sources with code of a kind of processor, and those that instantiate the packet path, compile for
# arm64 too: usage: portability.sh SOURCE_DIR. Exit code 77: not checked, with the reason.
set -euo pipefail
cd "$1"
compiler=aarch64-linux-gnu-g++
command -v "$compiler" >/dev/null || { echo "SKIPPED: no $compiler (./dev setup test)"; exit 77; }
failed=0
while read -r source; do
  # The headers of the libraries are the same for every kind of processor.
  "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -Iinclude -Isrc -idirafter /usr/include "$source" || failed=1
  echo "compiled $source"
done < <({ grep -lE '__x86_64__|immintrin|__rdtsc' -r src --include='*.cpp'; echo src/runtime/meter_run.cpp; } | grep -v _test.cpp | sort -u)
exit $failed

#!/usr/bin/env bash
# Installs a build into a folder of its own and uses what is there, as its users would: a project outside the tree
# by CMake and by pkg-config, with the shared and the static library; the manual; the completion.
# usage: install_test.sh BUILD_DIR SOURCE_DIR CXX CC
set -euo pipefail
build=$1 source=$2 cxx=$3 cc=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fail() { echo "FAILED: $*" >&2; exit 1; }
expect() { # what, text, word
  case $2 in *"$3"*) echo "ok: $1" ;; *) fail "$1: expected '$3' in: $2" ;; esac
}

cmake --install "$build" --prefix "$folder/usr" >"$folder/log" || { cat "$folder/log"; fail "cmake --install"; }
library_folder=$(dirname "$(find "$folder/usr" -name libevenkeel.so)")
export PKG_CONFIG_PATH=$library_folder/pkgconfig

expect "program" "$("$folder/usr/bin/evenkeel" --version)" "evenkeel "
expect "soname" "$(readelf -d "$library_folder/libevenkeel.so" | grep SONAME)" "libevenkeel.so.0.1"
strangers=$(nm -D --defined-only --format=posix "$library_folder/libevenkeel.so" | awk '{ print $1 }' |
  grep -vE '^(evenkeel_|_ZNK?8evenkeel|_ZT[VIS]NK?8evenkeel)' || true)
[ -z "$strangers" ] || fail "symbols that are not evenkeel's: $strangers"
inner=$(nm -DC --defined-only "$library_folder/libevenkeel.so" |
  grep -E 'evenkeel::(base|packet|bucket|meter|policy|engine|source|actuator|control|flow|observe|runtime|library|timer|sim)::' || true)
[ -z "$inner" ] || fail "symbols that should be hidden: $inner"
echo "ok: hidden symbols"

for kind in shared static; do
  cmake -S "$source/tests/consumer" -B "$folder/$kind" -DKIND=$kind -DCMAKE_PREFIX_PATH="$folder/usr" \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_C_COMPILER="$cc" >"$folder/log" 2>&1 || { cat "$folder/log"; fail "find_package, $kind"; }
  cmake --build "$folder/$kind" >"$folder/log" 2>&1 || { cat "$folder/log"; fail "building with CMake, $kind"; }
  expect "CMake, $kind, C++" "$("$folder/$kind/consumer")" "20000 packets"
  expect "CMake, $kind, C" "$("$folder/$kind/consumer_c")" "20000 packets"
done

read -ra flags <<<"$(pkg-config --cflags --libs evenkeel)"
"$cxx" -std=c++20 "$source/tests/consumer/consumer.cpp" "${flags[@]}" -Wl,-rpath,"$library_folder" -o "$folder/by_pkg_config"
expect "pkg-config, shared, C++" "$("$folder/by_pkg_config")" "20000 packets"
"$cc" "$source/tests/consumer/consumer_c.c" "${flags[@]}" -Wl,-rpath,"$library_folder" -o "$folder/by_pkg_config_c"
expect "pkg-config, shared, C" "$("$folder/by_pkg_config_c")" "20000 packets"
read -ra flags <<<"$(pkg-config --cflags --libs evenkeel-static)"
"$cxx" -std=c++20 "$source/tests/consumer/consumer.cpp" "${flags[@]}" -o "$folder/by_pkg_config_static"
expect "pkg-config, static, C++" "$("$folder/by_pkg_config_static")" "20000 packets"
"$cc" "$source/tests/consumer/consumer_c.c" "${flags[@]}" -o "$folder/by_pkg_config_static_c"
expect "pkg-config, static, C" "$("$folder/by_pkg_config_static_c")" "20000 packets"
for program in "$folder"/by_pkg_config_static*; do
  ! readelf -d "$program" | grep -q libevenkeel || fail "$program needs the shared library"
done

for page in "$folder"/usr/share/man/man?/evenkeel*; do
  if command -v groff >/dev/null; then
    [ -z "$(groff -man -ww -z "$page" 2>&1)" ] || fail "$page: $(groff -man -ww -z "$page" 2>&1)"
  fi
  grep -q '^\.SH NAME' "$page" || fail "$page has no name"
done
for page in "$folder"/usr/share/man/man1/evenkeel-*; do
  command=${page##*/evenkeel-} command=${command%.1}
  "$folder/usr/bin/evenkeel" "$command" --help | grep -oE '^ +(-., ?)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | while read -r option; do
    grep -qF -- "${option//-/\\-}" "$page" || { echo "$page: no $option"; exit 1; }
  done || fail "manual"
done
[ -e "$folder/usr/share/man/man1/evenkeel-run.1" ] || fail "no page for run"
echo "ok: manual"

[ -e "$folder/usr/lib/systemd/system/evenkeel-steer@.service" ] || fail "no unit for steer"
echo "ok: unit"

# As bash would call it.
complete_line() {
  PATH=$folder/usr/bin:$PATH bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _evenkeel; echo "${COMPREPLY[@]}"' \
    bash "$folder/usr/share/bash-completion/completions/evenkeel" "$@"
}
expect "completion of commands" "$(complete_line evenkeel r)" "run"
expect "completion of options" "$(complete_line evenkeel run --work)" "--workers"
expect "completion of policies" "$(complete_line evenkeel run --policy rss)" "rsspp"
# As zsh would: found by its completion system, and then called with what zsh provides replaced by what prints.
if command -v zsh >/dev/null; then
  site=$folder/usr/share/zsh/site-functions
  zsh -f -n "$site/_evenkeel" || fail "zsh -n"
  expect "zsh finds the completion" \
    "$(zsh -f -c 'fpath=($1 $fpath); autoload -U compinit; compinit -u -D; echo $_comps[evenkeel]' zsh "$site" </dev/null)" "_evenkeel"
  complete_zsh() { # PREFIX WORD…
    PATH=$folder/usr/bin:$PATH zsh -f -c '
      compadd() { shift; print -r -- $@ }
      _describe() { print -r -- ${(P)2} }
      _files() { print files }
      complete_it() { local PREFIX=$2 words=(${@[3,-1]}) CURRENT=$(($# - 2)); source $1 }
      complete_it "$@"' zsh "$site/_evenkeel" "$@"
  }
  expect "zsh: commands" "$(complete_zsh r evenkeel r)" "run:"
  expect "zsh: options" "$(complete_zsh --work evenkeel run --work)" "--workers"
else
  echo "skipped: completion for zsh (zsh is not installed)"
fi
echo "all ok"

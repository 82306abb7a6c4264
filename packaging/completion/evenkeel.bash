# Completion of evenkeel for bash. Commands and options are what `--help` lists, so that they are always right.
_evenkeel() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command="" word
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in -*) ;; *) command=$word; break ;; esac
  done
  if [[ -z $command && $current != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" --help 2>/dev/null |
      awk '/^Subcommands:/ { list = 1; next } list && NF { print $1 }')" -- "$current")
    return
  fi
  if [[ $current == -* ]]; then
    # shellcheck disable=SC2086
    mapfile -t COMPREPLY < <(compgen -W "$("${COMP_WORDS[0]}" $command --help 2>/dev/null |
      awk '/^ +-/ { n = split($1, names, ","); for (i = 1; i <= n; ++i) if (names[i] ~ /^--/) print names[i] }')" -- "$current")
    return
  fi
  case $previous in
    --policy) mapfile -t COMPREPLY < <(compgen -W "index static proportional rsspp lpt" -- "$current") ;;
    --hash) mapfile -t COMPREPLY < <(compgen -W "toeplitz crc32c" -- "$current") ;;
    --queueing) mapfile -t COMPREPLY < <(compgen -W "fair fifo weighted" -- "$current") ;;
    --format) mapfile -t COMPREPLY < <(compgen -W "jsonl csv" -- "$current") ;;
    *) compopt -o default 2>/dev/null ;;
  esac
}
complete -F _evenkeel evenkeel

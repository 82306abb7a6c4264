#compdef evenkeel
# Completion of evenkeel for zsh. Commands and options are what `--help` lists, so that they are always right.
local command=""
local -a found
for word in ${words[2,CURRENT-1]}; do
  case $word in -*) ;; *) command=$word; break ;; esac
done
if [[ -z $command && $PREFIX != -* ]]; then
  found=(${(f)"$(${words[1]} --help 2>/dev/null | awk '/^Subcommands:/ { l = 1; next } l && NF { n = $1; $1 = ""; print n ":" substr($0, 2) }')"})
  _describe command found
elif [[ $PREFIX == -* ]]; then
  found=(${(f)"$(${words[1]} ${=command} --help 2>/dev/null | awk '/^ +-/ { n = split($1, a, ","); for (i = 1; i <= n; ++i) if (a[i] ~ /^--/) print a[i] }')"})
  compadd -- $found
else
  _files
fi

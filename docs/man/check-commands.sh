#!/bin/sh
# Every command that `aileron help` lists has its entry in aileron.1, and the other way round.
#     check-commands.sh AILERON PAGE
set -eu
aileron=$1
page=$2
listed=$("$aileron" help | sed -n 's/^  \([a-z]*\( [a-z-]*\)\{0,1\}\)  .*/\1/p' | sed 's/ *$//' | sort)
described=$(sed -n -e 's/^\.It Cm \([a-z]*\( [a-z-]*\)\{0,1\}\).*/\1/p' -e '/^\.It Xo$/{n;s/^\.Cm \([a-z]*\( [a-z-]*\)\{0,1\}\)$/\1/p;}' "$page" | sed 's/ *$//' | sort)
if [ "$listed" != "$described" ]; then
    printf 'listed by help:\n%s\ndescribed in %s:\n%s\n' "$listed" "$page" "$described"
    exit 1
fi

#!/bin/bash
# weir-test: timeout=60
#
# Proves that operators written by a user, loaded from a shared object, work in expressions like those built in, on several workers.
set -eu
weir=$WEIR_BUILD/bin/weir heat=$WEIR_BUILD/bin/heat2d
if [ ! -x "$heat" ]; then echo "skipped: this build has no heat2d (needs MPI)"; exit 77; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-own.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$WEIR_SOURCE/examples/my_operators.yaml" "$WEIR_BUILD/bin/my_operators.so" .
"$weir" run my_operators.yaml --workers 2 --ranks 3 -- "$heat" 64 48 200 20 > log 2>&1 || { cat log; exit 1; }
# the squares in rms are exact, those of the expression rounded first: the last digits may differ
/usr/bin/awk -F, 'NR > 1 { d = $3 - $4; if (d < 0) d = -d; if (!($3 > 0) || d > 1e-14 * $3 || !($5 > 0)) { print "line " NR ": " $0; exit 1 } n++ }
  END { if (n < 10) { print n " steps, expected 10"; exit 1 } }' rms.csv

#!/bin/bash
# weir-test: timeout=300
#
# Proves on a real MPI simulation that the results on disk (Zarr, CSV, PNG) are the same bytes for 0, 1, 2, 4 threads, 1, 2, 3, 4 workers
# and 1, 2, 4, 6 simulation processes, on uneven chunks, for every kind of operator; and that arithmetic fused into a reduction gives the
# bytes of the same arithmetic stored first.
set -eu
weir=$WEIR_BUILD/bin/weir gyre=$WEIR_BUILD/apps/gyre/gyre
if [ ! -x "$gyre" ]; then echo "skipped: this build has no gyre (needs MPI and Fortran)"; exit 77; fi
if "$weir" version | grep -q "MPI  *none"; then echo "skipped: this build has no MPI"; exit 77; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-same.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

cat > gyre.nml <<'END'
&gyre
  nx = 50, ny = 46
  ndays = 0, nsteps = 210
  output_every = 21
  diagnostics_every = 210
/
END
cat > same.yaml <<'END'
run: same
stream:
  simulation: {policy: {when_full: block, timeout: 10 min, slots: 4}}
  chunks: {y: 9, x: 13}
fields:
  zeta:      diff(v, x, edge=noslip) - diff(u, y, edge=noslip)
  ke:        0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2)
  ke_mean:   mean(ke)
  ke_fused:  mean(0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2))
  anomaly:   ke - ke_mean
  trend:     ddt(ke_mean)
  old:       lag(zeta, 2)
  avg:       running_mean(ke, 3)
  tm:        time_mean(u)
  tv:        time_var(u)
  zonal:     mean(u, axes=x)
  low:       min(eta)
  high:      max(eta)
  spread:    std(eta)
  h:         histogram(eta, 10, -1, 1)
  spectrum:  power_spectrum(ke, axes=[y, x])
  coarse:    coarsen(eta, 4)
  slope:     ddx(eta)
  curve:     laplacian(eta)
outputs:
  - zarr: {path: gyre.zarr, fields: [zeta, ke, spectrum, ke_mean, anomaly, old, avg, tm, tv, zonal, h, coarse, slope, curve], every: 42}
  - csv:  {path: ke.csv, fields: [ke_mean, ke_fused, trend, low, high, spread]}
  - plot: {field: zeta, path: "zeta_{step:06}.png", every: 105}
END

first=
one() { # workers threads processes
  mkdir "run-$1-$2-$3"
  cp same.yaml "run-$1-$2-$3"
  (cd "run-$1-$2-$3" && "$weir" run same.yaml --workers "$1" --threads "$2" --ranks "$3" -- "$gyre" ../gyre.nml > log 2>&1) ||
    { echo "workers $1, threads $2, processes $3: exit $?"; cat "run-$1-$2-$3/log"; exit 1; }
  sum=$(cd "run-$1-$2-$3" && find gyre.zarr ke.csv ./*.png -type f | LC_ALL=C sort | xargs sha256sum | sha256sum)
  files=$(find "run-$1-$2-$3/gyre.zarr" -type f | wc -l)
  echo "workers $1, threads $2, processes $3: $files files, ${sum%% *}"
  [ "$files" -gt 100 ]
  [ -n "$first" ] || first=$sum
  [ "$sum" = "$first" ] || { echo "differs from the first run"; exit 1; }
}
processes=(1 2 4 6)
n=0
for workers in 1 2 3 4; do
  for threads in 0 1 2 4; do
    one $workers $threads "${processes[n++ % 4]}" # 0 threads with 1 process, 1 with 2 ... then shifted for the next workers
  done
  n=$((n + 1))
done
awk -F, 'NR > 1 && $3 != $4 {print "fused and stored differ at step " $1; exit 1}' run-1-0-1/ke.csv
[ "$(wc -l < run-1-0-1/ke.csv)" = 11 ]

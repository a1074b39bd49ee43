#!/bin/bash
# weir-test: timeout=300
#
# Proves that steering is deterministic: twenty runs of the gyre in which rules change a parameter of the simulation (its wind), which
# region of a field leaves it and how often, with 1 to 3 workers, 0 to 2 threads and 1 to 4 processes of the simulation, one of them with
# its workers killed on the way, make the same decisions and leave the same bytes.
set -u
weir=$WEIR_BUILD/bin/weir gyre=$WEIR_BUILD/apps/gyre/gyre
if [ ! -x "$gyre" ]; then echo "skipped: this build has no gyre (needs MPI and Fortran)"; exit 77; fi
if "$weir" version | grep -q "MPI  *none"; then echo "skipped: this build has no MPI"; exit 77; fi
export ASAN_OPTIONS=detect_leaks=0
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-twenty.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

cat > gyre.nml <<'END'
&gyre
  nx = 40, ny = 36
  ndays = 0, nsteps = 300
  output_every = 5
  diagnostics_every = 300
/
END
cat > steered.yaml <<'END'
run: steered
stream:
  simulation: {policy: {when_full: block, timeout: 10 min, slots: 4}}
  chunks: {y: 9, x: 13}
fields:
  ke:      0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2)
  ke_mean: mean(ke)
  corner:  slice(slice(eta, y, from=4, to=16), x, from=4, to=24)
steering: {delay: 2}
rules:
  - when:   mean(eta^2) > 1e-9
    output: {corner: start}
  - when:   "step / 60 - floor(step / 60) > 0.5"     # true and false in turn
    hold:   10 steps
    set:    {wind: "0.8 * wind + minimum(0.001, ke_mean)"}
  - when:   wind < 0.6
    extract: {corner: {every: 15}}
    output:  {whole: once}
outputs:
  - csv:  {path: ke.csv, fields: [ke_mean, wind]}
  - zarr: {path: corner.zarr, fields: [corner], name: corner, active: no, every: 5}
  - zarr: {path: whole.zarr, fields: [eta], name: whole, active: no}
END

# one DIRECTORY WORKERS THREADS RANKS: a run, its decisions and the sum of all files of its outputs
one() {
  mkdir "$1" && cd "$1" || exit 1
  if ! "$weir" run ../steered.yaml --workers "$2" --threads "$3" --ranks "$4" -- "$gyre" ../gyre.nml >log 2>&1; then
    echo "FAULT: $2 workers, $3 threads, $4 processes: the run failed"; cat log; exit 1
  fi
  { cat steered.run/decisions.log; find ke.csv corner.zarr whole.zarr -type f | LC_ALL=C sort | xargs md5sum; } >all
  cd ..
}

# kill a worker of the run in DIRECTORY once it has come to some steps
kill_one() {
  local victim
  for _ in $(seq 200); do
    sleep 0.05
    [ -e "$1/ke.csv" ] && [ "$(wc -l <"$1/ke.csv")" -gt 8 ] || continue
    victim=$(pgrep -f "weir worker $work/$1/steered.run" | while read -r p; do
      [ "$(cat "/proc/$p/comm" 2>/dev/null)" = weir ] && echo "$p"; done | head -1)
    [ -n "$victim" ] && kill -9 "$victim" && return
  done
}

number=0
for kind in "1 0 1" "1 1 2" "1 2 1" "2 0 1" "2 1 2" "2 2 2" "3 0 3" "3 1 1" "1 0 4" "2 0 3" \
  "1 1 1" "1 0 2" "2 1 1" "2 0 2" "3 0 1" "1 2 2" "2 2 1" "1 1 3" "3 1 2" "2 1 4"; do
  set -- $kind
  number=$((number + 1))
  [ $number != 14 ] || kill_one run14 &
  one run$number "$1" "$2" "$3"
  cmp -s run1/all run$number/all || { echo "FAULT: run $number ($kind) differs"; diff run1/all run$number/all | head -20; exit 1; }
done
grep -q 'was killed' run14/log || { echo "FAULT: no worker of run 14 was killed"; exit 1; }
[ "$(grep -c 'set wind' run1/steered.run/decisions.log)" -ge 3 ] || { echo "FAULT: too few decisions"; cat run1/all; exit 1; }
grep -q 'corner=start' run1/steered.run/decisions.log || { echo "FAULT: the region was never asked for"; exit 1; }
grep -q 'whole=once' run1/steered.run/decisions.log || { echo "FAULT: no snapshot was asked for"; exit 1; }
[ "$(ls run1/whole.zarr/eta | grep -c '^[0-9]')" -ge 1 ] || { echo "FAULT: there is no snapshot"; exit 1; }
echo "$number runs, $(wc -l <run1/steered.run/decisions.log) decisions: the same"

#!/bin/bash
# weir-test: timeout=300
#
# The same recipe and the same simulation with its analysis in workers beside it, in workers fed by one that only
# forwards, and inside the simulation: the files are the same bytes for 1, 2 and 4 processes, also after a restart from
# a checkpoint. Inside, what cannot be analysed (no engine, no communicator) leaves the simulation unharmed.
set -eu
weir=$WEIR_BUILD/bin/weir gyre=$WEIR_BUILD/apps/gyre/gyre heat=$WEIR_BUILD/bin/heat2d
if [ ! -x "$gyre" ] || [ ! -x "$heat" ]; then echo "skipped: this build has no gyre (needs MPI and Fortran)"; exit 77; fi
if "$weir" version | grep -q "MPI  *none"; then echo "skipped: this build has no MPI"; exit 77; fi
if ! [ -e "$WEIR_BUILD/libweir.so.0" ]; then echo "skipped: this build has no engine library"; exit 77; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-placements.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "$1"; shift; for f in "$@"; do cat "$f"; done; exit 1; }
digest() { find "$1" \( -name '*.run' -prune \) -o -type f ! -name log ! -name '*.yaml' -print0 | (cd "$1" && LC_ALL=C sort -z | sed -z "s|^$1/||" | xargs -0 sha256sum) | sha256sum; }

cat > gyre.nml <<'END'
&gyre
  nx = 50, ny = 46
  ndays = 0, nsteps = 126
  output_every = 21
  diagnostics_every = 126
/
END
cat > gyre.in <<'END'
run: gyre
stream:
  simulation: {placement: PLACE}
  chunks: {y: 9, x: 13}
fields:
  zeta:      diff(v, x, edge=noslip) - diff(u, y, edge=noslip)
  ke:        0.5 * (mid(u, x, edge=zero)^2 + mid(v, y, edge=zero)^2)
  ke_mean:   mean(ke)
  old:       lag(zeta, 2)
  avg:       running_mean(ke, 3)
  tv:        time_var(u)
  zonal:     mean(u, axes=x)
  spectrum:  power_spectrum(ke, axes=[y, x])
  corner:    max(slice(eta, y, from=17, to=18))
outputs:
  - zarr: {path: gyre.zarr, fields: [zeta, ke, spectrum, old, avg, tv, zonal], every: 42}
  - csv:  {path: ke.csv, fields: [ke_mean, corner]}
  - plot: {field: zeta, path: "zeta_{step:06}.png", every: 63}
END
cat > heat.in <<'END'
run: heat
stream:
  simulation: {placement: PLACE}
  chunks: {y: 10, x: 13}
fields:
  lap:  laplacian(temperature)
  mean: mean(temperature)
  high: max(temperature)
  long: time_mean(temperature)
outputs:
  - zarr: {path: heat.zarr, fields: [temperature, lap, long], every: 8}
  - csv:  {path: heat.csv, fields: [mean, high]}
END

one() { # name placement processes workers command...
  local name=$1 place=$2 n=$3 workers=$4 folder="$1-$2-$3"
  shift 4
  mkdir "$folder"
  sed "s/PLACE/$place/" "$name.in" > "$folder/$name.yaml"
  (cd "$folder" && WEIR_VERBOSE=1 timeout 100 "$weir" run "$name.yaml" --workers "$workers" --ranks "$n" -- "$@" > log 2>&1) ||
    fail "$folder: exit $?" "$folder/log"
  if grep -q 'no analysis from here on' "$folder/log"; then fail "$folder: the analysis ended early" "$folder/log"; fi
  sum=$(digest "$folder")
  echo "$folder: ${sum%% *}"
  [ -n "$first" ] || first=$sum
  [ "$sum" = "$first" ] || fail "$folder differs from the first run" "$folder/log"
}
# What goes back arrives at the same steps: the wind, and increments.
sed 's/nsteps = 126/nsteps = 63, assimilate = .true./; s/output_every = 21/output_every = 3/' gyre.nml > steer.nml
cat > steer.in <<'END'
run: steer
stream: {simulation: {placement: PLACE}, chunks: {y: 9, x: 13}}
fields: {ke: mean(u^2), du: -0.01 * u, dv: -0.01 * v, deta: -0.001 * eta}
rules:
  - when: step > 12
    set: {wind: 2}
  - when: step > 30
    set: {wind: 0.5}
feedback: {du: {lag: 2}, dv: {lag: 2}, deta: {lag: 3}}
outputs:
  - csv:  {path: ke.csv, fields: [ke]}
  - zarr: {path: steer.zarr, fields: [u, eta], every: 9}
END
for name in heat gyre steer; do
  first=
  if [ $name = heat ]; then command=("$heat" 46 50 40 4); else command=("$gyre" ../$name.nml); fi
  for n in 1 2 4; do
    one $name node $n 2 "${command[@]}"
    one $name transit $n 2 "${command[@]}"
    one $name inline $n 1 "${command[@]}"
  done
done
[ "$(find gyre-inline-4/gyre.zarr -type f | wc -l)" -gt 50 ] && [ "$(find heat-inline-4/heat.zarr -type f | wc -l)" -gt 30 ]

cmp steer-node-2/steer.run/decisions.log steer-inline-4/steer.run/decisions.log
grep -q 'set wind=0.5 was=2' steer-inline-4/steer.run/decisions.log

# Killed in the middle, it goes on from its checkpoint: the simulation begins anew, and what was done is passed over.
mkdir long again
sed 's/PLACE/inline/; s/every: 8/every: 500/; s/^run: heat/&\ncheckpoint: {every: 20 steps}/' heat.in | tee long/heat.yaml > again/heat.yaml
(cd long && "$weir" run heat.yaml --ranks 2 -- "$heat" 64 64 6000 10 > log 2>&1) || fail "long: exit $?" long/log
(cd again && exec "$weir" run heat.yaml --ranks 2 -- sh -c 'echo $$ >> pids; exec "$@"' sh "$heat" 64 64 6000 10 > log 2>&1) &
job=$!
for i in $(seq 200); do if [ -e again/heat.csv ] && [ "$(wc -l < again/heat.csv)" -gt 60 ]; then break; fi; sleep 0.05; done
kill -KILL "$(head -n 1 again/pids)"
if wait $job; then fail "nobody saw that the simulation was killed" again/log; fi
ls again/heat.run/checkpoint/* > /dev/null || fail "no checkpoint" again/log
(cd again && "$weir" run --resume heat.yaml --ranks 2 -- "$heat" 64 64 6000 10 > log 2>&1) || fail "resume: exit $?" again/log
rm again/pids
[ "$(digest again)" = "$(digest long)" ] || fail "a run that went on differs from one that was not interrupted" again/log

# threads, in there
mkdir threads && sed 's/PLACE/inline/' steer.in > threads/steer.yaml
(cd threads && "$weir" run steer.yaml --threads 2 --ranks 2 -- "$gyre" ../steer.nml > log 2>&1) || fail "threads: exit $?" threads/log
[ "$(digest threads)" = "$first" ] || fail "two threads in there make a difference" threads/log

# Operators of one's own are found from in there.
mkdir own && sed 's/simulation: {}/simulation: {placement: inline}/' "$WEIR_SOURCE/examples/my_operators.yaml" > own/mine.yaml
grep -q 'placement: inline' own/mine.yaml || fail "the example has another form now"
cp "$WEIR_BUILD/bin/my_operators.so" own
(cd own && "$weir" run mine.yaml --ranks 2 -- "$heat" 64 48 200 20 > log 2>&1) || fail "own operators: exit $?" own/log
[ "$(wc -l < own/rms.csv)" = 12 ] || fail "own operators: wrong result" own/rms.csv

# No engine: the simulation ends well, and weir says that there was no analysis.
mkdir none && sed 's/PLACE/inline/' heat.in > none/heat.yaml
status=0
(cd none && WEIR_VERBOSE=1 WEIR_ENGINE=/nowhere/libweir.so "$weir" run heat.yaml --ranks 2 -- "$heat" 46 50 40 4 > log 2>&1) || status=$?
[ $status = 1 ] || fail "without an engine: exit $status" none/log
grep -q 'the engine cannot be loaded: /nowhere/libweir.so' none/log || fail "no word of the engine" none/log
grep -q 'heat2d: 40 steps on 2 processes' none/log || fail "the simulation was harmed" none/log
grep -q 'ended without an analysis' none/log || fail "weir does not say it" none/log

# No communicator: two processes that have none to give.
cat > alone.c <<'END'
#include <weir/client.h>
#include <mpi.h>
#include <stdio.h>
int main(int argc, char **argv) {
  int          rank, size;
  double       t[6] = {1, 2, 3, 4, 5, 6};
  weir_stream *s;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  weir_stream_open("alone", rank, size, &(weir_stream_options){.has_comm = argc > 1, .comm = 123456}, &s);
  weir_field_define(s, "t", &(weir_field_options){.type = {.dtype = WEIR_F64, .rank = 1, .dim = {{.name = "x", .size = 6 * size}}},
                    .start = (int64_t[]){6 * rank}, .count = (int64_t[]){6}});
  for (int step = 0; step < 3; step++) {
    weir_step_begin(s, step, step);
    weir_put(s, "t", &(weir_array){.data = t, .dtype = WEIR_F64, .rank = 1, .extent = {6}});
    weir_step_end(s);
  }
  if (rank == 0) printf("said: %s\n", weir_stream_error(s));
  weir_stream_close(&s);
  MPI_Finalize();
  return 0;
}
END
flags=; case $(readelf -d "$WEIR_BUILD/libweir-client.so") in *libasan*) flags=-fsanitize=address,undefined ;; *libtsan*) flags=-fsanitize=thread ;; esac
mpicc $flags -I"$WEIR_SOURCE/include" alone.c -o alone "$WEIR_BUILD/libweir-client.so" -Wl,-rpath,"$WEIR_BUILD"
cat > alone.yaml <<'END'
run: alone
stream: {simulation: {placement: inline}}
fields: {m: mean(t)}
outputs: [{csv: {path: m.csv, fields: [m]}}]
END
status=0
"$weir" run alone.yaml --ranks 2 -- ./alone > log 2>&1 || status=$?
[ $status = 2 ] || fail "without a communicator: exit $status" log
grep -q 'said: .*has_comm and comm of weir_stream_options' log || fail "no word of the option" log
status=0
"$weir" run alone.yaml --ranks 2 -- ./alone wrong > log 2>&1 || status=$?
[ $status = 2 ] || fail "with a wrong communicator: exit $status" log
grep -q 'said: 123456 is no communicator' log || fail "no word of the handle" log
"$weir" run alone.yaml --ranks 1 -- ./alone > log 2>&1 || fail "one process needs no communicator" log
[ "$(sed -n 4p m.csv)" = "2,2,3.5" ] || fail "wrong result" m.csv

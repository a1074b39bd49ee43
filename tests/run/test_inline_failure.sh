#!/bin/bash
# weir-test: timeout=200
#
# What fails while the analysis runs inside the simulation, in 1 and 2 processes: an operator, a value that is not
# finite, an output that cannot be written or runs out of room, a process that leaves the stream early. The simulation
# ends by itself with its own result and exit status 0; weir says the one message, has the exit status and writes the
# files that it has under the same fault with workers beside the simulation.
set -eu
weir=$WEIR_BUILD/bin/weir
if "$weir" version | grep -q "MPI  *none"; then echo "skipped: this build has no MPI"; exit 77; fi
if ! [ -e "$WEIR_BUILD/libweir.so.0" ]; then echo "skipped: this build has no engine library"; exit 77; fi
work=$(mktemp -d "${TMPDIR:-/tmp}/weir-inline.XXXXXX")
trap 'for m in "$work"/*/small; do umount "$m" 2>/dev/null || true; done; rm -rf "$work"' EXIT
cd "$work"
fail() { echo "$1"; shift; for f in "$@"; do echo "--- $f"; cat "$f"; done; exit 1; }

# A simulation of STEPS steps that computes something of its own; its last process closes the stream before step LEAVE
# (0: none does), and all are told in the end to whom the stream failed.
cat > sim.c <<'END'
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <weir/client.h>
enum { NY = 24, NX = 20 };
int main(int argc, char **argv) {
  int          rank, size, steps = argc > 1 ? atoi(argv[1]) : 1, leave = argc > 2 ? atoi(argv[2]) : 0;
  double       u[NY * NX], sum = 0;
  weir_stream *s;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int rows = NY / size, first = rows * rank;
  weir_stream_open("sim", rank, size, &(weir_stream_options){.has_comm = 1, .comm = MPI_Comm_c2f(MPI_COMM_WORLD)}, &s);
  weir_field_define(s, "u", &(weir_field_options){.type  = {.dtype = WEIR_F64, .rank = 2,
                                                            .dim   = {{.name = "y", .size = NY}, {.name = "x", .size = NX}}},
                                                  .start = (int64_t[]){first, 0}, .count = (int64_t[]){rows, NX}});
  for (int step = 0; step < steps; step++) {
    double all;
    for (int j = 0; j < rows; j++)
      for (int i = 0; i < NX; i++) sum += u[j * NX + i] = 1.5 + sin(0.3 * step + 0.2 * (first + j) + 0.1 * i);
    MPI_Allreduce(&sum, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (leave && step >= leave && rank == size - 1) {
      if (s) weir_stream_close(&s);
    } else {
      weir_step_begin(s, step, step);
      weir_put(s, "u", &(weir_array){.data = u, .dtype = WEIR_F64, .rank = 2, .extent = {rows, NX}});
      weir_step_end(s);
    }
    usleep(2000);
  }
  MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  weir_stream_close(&s);
  MPI_Finalize();
  if (rank == 0) printf("sim: %d steps, sum %.6f\n", steps, sum);
  return 0;
}
END
flags=; case $(readelf -d "$WEIR_BUILD/libweir-client.so") in *libasan*) flags=-fsanitize=address,undefined ;; *libtsan*) flags=-fsanitize=thread ;; esac
mpicc $flags -O1 -I"$WEIR_SOURCE/include" sim.c -o sim "$WEIR_BUILD/libweir-client.so" -Wl,-rpath,"$WEIR_BUILD" -lm
gcc $flags -shared -fPIC -I"$WEIR_SOURCE/include" "$WEIR_SOURCE/tests/faults/operators.c" -o operators.so

# `bad` fails at step 6: everywhere, or with FINITE at one place, where it is infinite
EVERYWHERE="failing(u, step=6)" FINITE="u / maximum(abs(step - 6), maximum(abs(y - 20), abs(x - 3)))"
recipe() { # EXPRESSION STORE LINE...
  cat <<END
run: r
operators: [operators.so]
stream: {simulation: {placement: PLACE}, chunks: {y: 5, x: 7}}
fields:
  bad:  $1
  from: mean(bad)
  good: mean(u)
  avg:  running_mean(u, 3)
outputs:
  - csv:  {path: bad.csv, fields: [from]}
  - csv:  {path: good.csv, fields: [good, max(avg)]}
  - zarr: {path: $2, fields: [bad, avg], codec: none}
END
  shift 2
  printf '%s\n' "$@"
}

# one NAME PLACE PROCESSES WORKERS STATUS COMMAND...: a run in the folder NAME-PLACE-PROCESSES of NAME.in, with its exit
# status; the simulation is unharmed
one() {
  local name=$1 place=$2 n=$3 workers=$4 expected=$5 folder="$1-$2-$3" status=0
  shift 5
  mkdir -p "$folder"
  sed "s/PLACE/$place/" "$name.in" > "$folder/r.yaml"
  cp operators.so "$folder"
  (cd "$folder" && timeout 60 "$weir" run r.yaml --workers "$workers" --ranks "$n" -- "$@" > out 2> err) || status=$?
  [ $status = "$expected" ] || fail "$folder: exit status $status, expected $expected" "$folder/out" "$folder/err"
  grep '^sim: ' "$folder/out" > "$folder/sim" || fail "$folder: the simulation did not end" "$folder/out" "$folder/err"
  cmp -s "$folder/sim" "sum-$n" || fail "$folder: the simulation has another result" "$folder/sim" "sum-$n"
  grep '^weir: ' "$folder/err" | sed 's/; the simulation goes on without analysis$//' > "$folder/said" || true
}
outputs() { (cd "$1" && find . -type f \( -name '*.csv' -o -path '*.zarr/*' \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum); }
failed() { /usr/bin/python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["failed"])' "$1/r.run/report.json"; }
same() { # NAME PROCESSES [FILES]: what was said, the report, and all outputs but those files
  local a="$1-node-$2" b="$1-inline-$2" but="${3:-^$}"
  cmp -s "$a/said" "$b/said" || fail "$b says something else" "$a/said" "$b/said"
  [ "$(wc -l < "$b/said")" = 1 ] || fail "$b: not one message" "$b/said"
  [ "$(failed "$a")" = "$(failed "$b")" ] || fail "$b: the report says $(failed "$b"), expected $(failed "$a")"
  outputs "$a" | grep -v "$but" > "$a/sums"
  outputs "$b" | grep -v "$but" > "$b/sums"
  cmp -s "$a/sums" "$b/sums" || { diff "$a/sums" "$b/sums" || true; fail "$b: outputs differ" "$b/said"; }
  echo "$b: $(cat "$b/said")"
}
says() { grep -q "$2" "$1/said" || fail "$1 does not say $2" "$1/said"; } # FOLDER PATTERN

for n in 1 2; do
  (unset WEIR_RUN && ASAN_OPTIONS=detect_leaks=0 bash "$WEIR_SOURCE/tests/mpirun.sh" $n ./sim 16 | grep '^sim: ' > sum-$n)
  recipe u a.zarr > clean.in
  one clean node $n 2 0 ../sim 16
done

# ---- an operator, and a value that is not finite ----
for what in everywhere finite; do
  if [ $what = finite ]; then expression=$FINITE more="check_finite: [bad]"; else expression=$EVERYWHERE more="# as it is"; fi
  for policy in skip disable stop; do
    name=$what-$policy
    recipe "$expression" a.zarr "$more" "on_failure: {bad: $policy}" > $name.in
    for n in 1 2; do
      for place in node inline; do one $name $place $n $n 1 ../sim 16; done
      if [ $policy != stop ]; then
        # where only one of two failed, the other goes on until it has heard of it
        if [ $name = finite-disable ] && [ $n = 2 ]; then same $name $n /bad/; else same $name $n; fi
        cmp -s $name-inline-$n/good.csv clean-node-$n/good.csv || fail "$name-inline-$n: good.csv differs" $name-inline-$n/good.csv
        [ "$(wc -l < $name-inline-$n/bad.csv)" = 17 ] || fail "$name-inline-$n: rows are missing" $name-inline-$n/bad.csv
        continue
      fi
      # Workers beside it may be a few steps further by then; in here the step that fails is the last one.
      says $name-inline-$n 'field bad at step 6: .*; the run was stopped$'
      [ "$(failed $name-inline-$n)" = "$(failed $name-node-$n)" ] || fail "$name-inline-$n: the report says $(failed $name-inline-$n)"
      [ "$(wc -l < $name-inline-$n/good.csv)" = 8 ] || fail "$name-inline-$n: not 7 rows" $name-inline-$n/good.csv
      head -n 8 clean-node-$n/good.csv | cmp -s - $name-inline-$n/good.csv || fail "$name-inline-$n: the rows differ" $name-inline-$n/good.csv
    done
  done
done

# ---- outputs that cannot be written, or run out of room ----
for policy in skip disable stop; do
  recipe u a.zarr '  - plot: {path: "gone/{name}_{step:02}.png", field: u, every: 3}' \
    "on_failure: {\"gone/{name}_{step:02}.png\": $policy}" > gone-$policy.in
  for n in 1 2; do
    for place in node inline; do
      mkdir -p gone-$policy-$place-$n
      echo file > gone-$policy-$place-$n/gone
      one gone-$policy $place $n $n 1 ../sim 16
    done
    says gone-$policy-inline-$n 'output gone/u_{step:02}.png at step 0: cannot create gone/u_00.png: Not a directory; '
    if [ $policy = stop ]; then
      [ "$(wc -l < gone-stop-inline-$n/good.csv)" = 2 ] || fail "gone-stop-inline-$n: not 1 row" gone-stop-inline-$n/good.csv
      continue
    fi
    same gone-$policy $n
    for file in good.csv bad.csv; do
      cmp -s gone-$policy-inline-$n/$file clean-node-$n/$file || fail "gone-$policy-inline-$n: $file differs" gone-$policy-inline-$n/$file
    done
  done
done

# What cannot even be made: no analysis.
recipe u gone/a.zarr > never.in
for n in 1 2; do
  for place in node inline; do
    mkdir -p never-$place-$n
    echo file > never-$place-$n/gone
    one never $place $n $n 1 ../sim 16
    says never-$place-$n 'cannot make the directory gone/a.zarr: Not a directory'
    [ "$(wc -l < never-$place-$n/said)" = 1 ] || fail "never-$place-$n: not one message" never-$place-$n/said
  done
done

mkdir probe
if mount -t tmpfs -o size=4k none probe 2> /dev/null; then
  umount probe
  recipe u small/a.zarr > full.in
  for n in 1 2; do
    for place in node inline; do
      mkdir -p full-$place-$n/small
      mount -t tmpfs -o size=96k none full-$place-$n/small
      one full $place $n $n 1 ../sim 16
      for file in good.csv bad.csv; do
        cmp -s full-$place-$n/$file clean-node-$n/$file || fail "full-$place-$n: $file differs" full-$place-$n/$file
      done
      says full-$place-$n 'output small/a.zarr at step [0-9]*: cannot .*: No space left on device; skipped at [0-9]* steps'
      [ "$(wc -l < full-$place-$n/said)" = 1 ] || fail "full-$place-$n: not one message" full-$place-$n/said
      # what is there is whole
      for file in $(cd full-$place-$n/small && find a.zarr/bad a.zarr/avg -type f -name '[0-9]*'); do
        cmp -s full-$place-$n/small/$file clean-node-$n/$file || fail "full-$place-$n: $file differs" full-$place-$n/said
      done
      umount full-$place-$n/small
    done
  done
else
  echo "no file system may be mounted here: the full disk is left out"
fi

# ---- a process that leaves the stream while the other goes on ----
recipe u a.zarr > early.in
for n in 1 2; do
  for place in node inline; do one early $place $n $n 0 ../sim 16 9; done
  [ ! -s early-node-$n/said ] && [ ! -s early-inline-$n/said ] || fail "early: a message" early-node-$n/said early-inline-$n/said
  [ "$(wc -l < early-inline-$n/good.csv)" = 10 ] || fail "early-inline-$n: not 9 rows" early-inline-$n/good.csv
  outputs early-node-$n > early-sums
  outputs early-inline-$n | cmp -s - early-sums || fail "early-inline-$n: outputs differ"
done
echo "a process that leaves early: 9 steps"

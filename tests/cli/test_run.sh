# weir-test: timeout=300
# weir run as people use it: beside a simulation, over files, and when something ends too early.
. "$WEIR_SOURCE/tests/cli/lib.sh"
simulation || { echo "the example heat2d is not built"; exit 77; }
recipe="$WEIR_SOURCE/examples/heat.yaml"

# status WHAT EXPECTED COMMAND...: the exit status; output in out.txt and err.txt
status() {
  local what=$1 expected=$2 got
  shift 2
  "$@" >out.txt 2>err.txt
  got=$?
  [ "$got" = "$expected" ] || fault "$what: exit status $got, expected $expected: $(cat err.txt)"
}
# none: no process with this folder in its command line is left, and no channel
none() {
  local left
  left=$(ps -eo pid,args | grep -F "$folder/" | grep -v grep | grep -E 'weir worker|/heat')
  [ -z "$left" ] || fault "$1: still there: $left"
  [ -z "$(find . -path '*channel*' -print -quit)" ] || fault "$1: channel files are left"
}
sums() { grep -v '^step' "$1" | sha256sum; }

# ---- the same bytes for any number of processes, workers and threads ----
status "one of each" 0 "$weir" run "$recipe" --dir one.run --threads 0 --ranks 1 -- "$heat" 64 48 200 10
none "one of each"
same "rows" 22 "$(wc -l <heat.csv)"
grep -q '^heat: 21 steps in ' err.txt || fault "no summary: $(cat err.txt)"
grep -q 'heat.zarr: .* in ' err.txt || fault "no outputs in the summary: $(cat err.txt)"
mv heat.csv one.csv
mv heat.zarr one.zarr
status "two of each" 0 env ASAN_OPTIONS=detect_leaks=0 "$weir" run "$recipe" --dir two.run --workers 2 --threads 2 --ranks 2 -- "$heat" 64 48 200 10
none "two of each"
same "tables" "$(sums one.csv)" "$(sums heat.csv)"
diff -r one.zarr heat.zarr >diff.txt || fault "stores differ: $(head -3 diff.txt)"
for file in recipe.yaml run.json schema.yaml report.json; do
  [ -s "two.run/$file" ] || fault "two.run/$file is missing"
done
same "what is left in the run directory" "recipe.yaml report.json run.json schema.yaml" "$(ls -A two.run | sort | tr '\n' ' ' | sed 's/ $//')"
grep -q '"complete": true' two.run/report.json || fault "the report is not complete"

# ---- check knows the fields from the schema that the run left ----
"$weir" check "$recipe" --dir two.run >check.txt || fault "check fails after a run"
grep -q 'temperature  y 48, x 64 ' check.txt || fault "check does not know the shape: $(cat check.txt)"

# ---- the simulation's own output passes through ----
status "output" 0 "$weir" run "$recipe" -- sh -c "echo said; $heat 16 16 20 10 >/dev/null; echo more >&2"
same "stdout" "said" "$(cat out.txt)"
grep -qx more err.txt || fault "stderr of the simulation is missing"

# ---- the simulation fails, or says nothing ----
status "failing simulation" 7 "$weir" run "$recipe" -- sh -c "$heat 16 16 20 10 >/dev/null; exit 7"
grep -q 'weir: the simulation failed (exit status 7)' err.txt || fault "failing simulation: $(cat err.txt)"
none "failing simulation"
status "silent simulation" 1 "$weir" run "$recipe" -- true
grep -q 'ended without publishing anything' err.txt || fault "silent simulation: $(cat err.txt)"
none "silent simulation"

# ---- a recipe that does not fit: the simulation goes on, one message ----
sed 's/max(temperature)/max(temprature)/' "$recipe" >odd.yaml
rm -rf heat.csv heat.zarr
status "odd field" 2 "$weir" run odd.yaml -- sh -c "$heat 16 16 20 10 >/dev/null 2>&1; touch went-on"
[ -e went-on ] || fault "odd field: the simulation did not go on"
same "odd field" "weir: odd.yaml:11:25: no field or parameter is named 'temprature'; did you mean 'temperature'?; the simulation goes on without analysis" \
  "$(cat err.txt)"
[ ! -e heat.csv ] && [ ! -e heat.zarr ] || fault "odd field: something was written"
none "odd field"

# ---- a worker is killed: another one goes on from the last checkpoint ----
rm -rf heat.csv heat.zarr
("$weir" run "$recipe" -- sh -c "$heat 400 400 4000 10 >/dev/null 2>&1; touch ended" >out.txt 2>err.txt; echo $? >rc.txt) &
for _ in $(seq 100); do [ -s heat.csv ] && [ "$(wc -l <heat.csv)" -gt 2 ] && break; sleep 0.1; done
worker=$(pgrep -f "weir worker $folder/heat.run" | head -1)
[ -n "$worker" ] && kill -9 "$worker"
wait
same "killed worker" 0 "$(cat rc.txt)"
[ -e ended ] || fault "killed worker: the simulation did not end"
grep -Eq '^weir: worker 0 was killed \(signal 9\).*; restarted from .* \(1 of 3\)$' err.txt || fault "killed worker: $(cat err.txt)"
none "killed worker"

# ---- interrupted: the simulation is asked to end, the workers finish what was published ----
rm -f heat.csv ended
"$weir" run "$recipe" -- "$heat" 400 400 100000 10 >out.txt 2>err.txt &
supervisor=$!
for _ in $(seq 100); do [ -s heat.csv ] && [ "$(wc -l <heat.csv)" -gt 2 ] && break; sleep 0.1; done
kill -TERM "$supervisor"
wait "$supervisor"
got=$?
[ "$got" -ge 128 ] || fault "interrupted: exit status $got: $(cat err.txt)"
grep -q '^heat: ' err.txt || fault "interrupted: no summary: $(cat err.txt)"
none "interrupted"
finish

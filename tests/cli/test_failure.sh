# weir-test: timeout=300
# Work that fails while the run goes on: one message, exit status 1, a line in the report, and nothing else is harmed.
. "$WEIR_SOURCE/tests/cli/lib.sh"
simulation || { echo "the example heat2d is not built"; exit 77; }
trap 'umount "$folder/small" 2>/dev/null; rm -rf "$folder"' EXIT

# recipe POLICY...: `bad` is infinite in the first columns of the field at step 50, for the division by 0 there
recipe() {
  cat >a.yaml <<END
stream: {simulation: {}, chunks: {y: 16, x: 16}}
fields:
  bad:  (temperature + 1) / maximum(abs(step - 50), x > 0.2)
  from: mean(bad)
  good: mean(temperature)
outputs:
  - csv: {path: bad.csv, fields: [from, "min(bad)"]}
  - csv: {path: good.csv, fields: [good]}
  - zarr: {path: a.zarr, fields: [bad, temperature], chunks: {y: 16, x: 16}}
END
  printf '%s\n' "$@" >>a.yaml
}
# failed WHAT MESSAGE COMMAND...: exit status 1, and this message
failed() {
  local what=$1 message=$2 got
  shift 2
  "$@" >out.txt 2>err.txt
  got=$?
  [ "$got" = 1 ] || fault "$what: exit status $got, expected 1: $(cat err.txt)"
  same "$what" "weir: $message" "$(grep '^weir: ' err.txt | sed 's/; the simulation goes on without analysis$//')"
}
simulate() { "$weir" run a.yaml "$@" -- sh -c "$heat 48 48 100 10 >/dev/null; touch ended"; }
cells() { sed -n "s/^$2,[^,]*,//p" "$1"; } # FILE STEP: the values of a row
# in_report WHAT PATTERN...: lines of the report
in_report() {
  local what=$1 pattern
  shift
  for pattern; do grep -q "$pattern" a.run/report.json || fault "$what: no $pattern in the report"; done
}

# ---- without a failure ----
recipe
"$weir" run a.yaml -- $heat 48 48 100 10 >/dev/null 2>err.txt || fault "clean: exit status $?: $(cat err.txt)"
mv good.csv clean.csv
same "rows" 12 "$(wc -l <clean.csv)"

# ---- a value that is not finite ----
for workers in 1 2; do
  rm -f ended
  recipe "check_finite: [bad]"
  failed "skip, $workers" \
    "a.yaml:3: field bad at step 50: the value at y 0, x 0 is inf, expected finite numbers; skipped at 1 step" \
    simulate --workers $workers
  [ -e ended ] || fault "skip: the simulation did not end"
  cmp -s clean.csv good.csv || fault "skip, $workers: good.csv differs"
  same "skip, $workers: rows" 12 "$(wc -l <bad.csv)"
  same "skip, $workers: the row of the step" "," "$(cells bad.csv 50)"
  [ "$(cells bad.csv 60)" != "," ] || fault "skip, $workers: nothing at step 60"
  in_report "skip, $workers" '"complete": false' '"field": "bad"' '"policy": "skip"' '"first_step": 50'
  [ ! -e a.zarr/bad/5.0.0 ] || fault "skip, $workers: the chunk was written"
  [ -e a.zarr/bad/6.0.0 ] && [ -e a.zarr/bad/5.1.1 ] && [ -e a.zarr/temperature/5.0.0 ] || fault "skip, $workers: chunks are missing"
  grep -q '"shape": \[11, 48, 48\]' a.zarr/bad/.zarray || fault "skip, $workers: $(cat a.zarr/bad/.zarray)"

  recipe "check_finite: yes" "on_failure: {bad: disable}"
  failed "disable, $workers" \
    "a.yaml:3: field bad at step 50: the value at y 0, x 0 is inf, expected finite numbers; disabled after it" \
    simulate --workers $workers
  cmp -s clean.csv good.csv || fault "disable, $workers: good.csv differs"
  same "disable, $workers: a later row" "," "$(cells bad.csv 100)"
  in_report "disable, $workers" '"policy": "disable"'

  rm -f ended
  recipe "check_finite: yes" "on_failure: {default: stop, good.csv: skip}"
  failed "stop, $workers" \
    "a.yaml:3: field bad at step 50: the value at y 0, x 0 is inf, expected finite numbers; the run was stopped" \
    simulate --workers $workers
  [ -e ended ] || fault "stop, $workers: the simulation did not end"
  rows=$(wc -l <good.csv)
  [ "$rows" -ge 6 ] && [ "$rows" -lt 12 ] || fault "stop, $workers: $rows rows"
  head -n "$rows" clean.csv | cmp -s - good.csv || fault "stop, $workers: the rows differ"
  in_report "stop, $workers" '"policy": "stop"'
done

# ---- a full disk, and a removed file ----
mkdir small
if mount -t tmpfs -o size=256k none small 2>/dev/null; then
  cat >a.yaml <<END
stream: {simulation: {}}
fields: {good: mean(temperature)}
outputs:
  - zarr: {path: small/a.zarr, fields: [temperature], codec: none}
  - csv: {path: good.csv, fields: [good]}
END
  "$weir" run a.yaml -- sh -c "$heat 64 64 200 10 >/dev/null; touch ended" >out.txt 2>err.txt
  same "full disk: exit status" 1 $?
  grep -Eq '^weir: a.yaml:4: output small/a.zarr at step [0-9]+: cannot (write|create) small/a.zarr/[a-z0-9./]*: No space left on device; skipped at [0-9]+ steps$' err.txt ||
    fault "full disk: $(cat err.txt)"
  same "full disk: the other output" 22 "$(wc -l <good.csv)"
  in_report "full disk" '"field": "small/a.zarr"'
  [ -z "$(find small -name '.part-*')" ] || fault "full disk: temporary files are left"
  for level in 0 1 2 3; do
    [ -e "small/a.zarr/temperature/$level.0.0" ] || fault "full disk: level $level is not there"
  done
  [ ! -e small/a.zarr/temperature/20.0.0 ] || fault "full disk: the last level is there"
  [ -z "$(find small/a.zarr/temperature -name '*.0.0' ! -size 32768c)" ] || fault "full disk: a chunk is not whole"
  umount small
else
  echo "no file system may be mounted here: the full disk is left out"
fi

cat >a.yaml <<END
stream: {simulation: {}}
fields: {good: mean(temperature)}
outputs:
  - plot: {path: "gone/{name}_{step}.png", field: temperature}
  - csv: {path: good.csv, fields: [good]}
on_failure: {"gone/{name}_{step}.png": disable}
END
echo file >gone
failed "unwritable output" \
  "a.yaml:4: output gone/temperature_{step}.png at step 0: cannot create gone/temperature_0.png: Not a directory; disabled after it" \
  "$weir" run a.yaml -- $heat 48 48 100 10
same "unwritable output: the other" 12 "$(wc -l <good.csv)"

# ---- the recipe ----
recipe "on_failure: {bat: skip}"
refused "unknown name" "a.yaml:10:14: on_failure: no field or output bat, did you mean bad?" "$weir" check a.yaml --dir a.run
recipe "on_failure: {bad: ignore}"
refused "unknown policy" "a.yaml:10:19: bad: expected one of skip, disable, stop, got \"ignore\"" "$weir" check a.yaml --dir a.run
recipe "check_finite: [temperature]"
refused "field of the stream" \
  "a.yaml:10:16: check_finite: temperature is a field of the stream, expected one that the recipe computes, such as max(temperature)" \
  "$weir" check a.yaml --dir a.run
finish

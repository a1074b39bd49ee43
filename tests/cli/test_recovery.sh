# weir-test: timeout=200
# What the supervisor does when jobs die: restarts with back-off and their limit, hung workers, a simulation started again,
# runs that go on. Workers are partly made up, so that they die when they should.
. "$WEIR_SOURCE/tests/cli/lib.sh"
simulation || { echo "the example heat2d is not built"; exit 77; }

# A worker that dies by itself in its first $DEATHS jobs, as told by $DEATH, and is a real one then.
cat >worker <<'END'
#!/bin/sh
for run; do :; done
echo "$WEIR_RESTART" >>starts
say() { # phase, step, restored, step of the checkpoint, exit status, message
  cat >"$run/.made" <<JSON
{"phase": $1, "steps": 9, "step": $2, "time": 1.0, "elapsed_s": 1.0, "blocked_s": 0.0, "time_units": "s",
 "exit": $5, "message": "$6", "restored": $3, "from": $4}
JSON
  mv "$run/.made" "$run/status"
}
if [ "$WEIR_RESTART" -lt "${DEATHS:-0}" ]; then
  [ "$WEIR_RESTART" = 0 ] && say 2 120 false 0 0 "" || say 2 125 true 100 0 ""
  sleep 0.5
  case $DEATH in
    kill) kill -9 $$ ;;
    status) exit 3 ;;
    healing) say 2 120 false 0 1 "no room on the disk"; exit 0 ;;
    final) say 4 120 false 0 1 "made up"; exit 0 ;;
    orphan) sh -c 'trap "" TERM; exec sleep 77777' & sleep 0.2; kill -9 $$ ;;
    wait) while [ "$(cat "$folder/ended" 2>/dev/null)" = "" ]; do sleep 0.05; done; say 3 130 false 0 0 ""; exit 0 ;;
  esac
fi
exec "$@"
END
chmod +x worker
export folder
# recipe RECOVERY STREAM
recipe() {
  cat >a.yaml <<END
stream:
  simulation: {${2:-}}
fields:
  warmest: max(temperature)
outputs:
  - csv: {path: a.csv, fields: [warmest]}
launch: {workers: "$folder/worker {command}"}
recovery: $1
END
}
# status WHAT EXPECTED COMMAND...: the exit status; output in out.txt and err.txt
status() {
  local what=$1 expected=$2 got
  shift 2
  rm -f starts ended a.csv
  "$@" >out.txt 2>err.txt
  got=$?
  [ "$got" = "$expected" ] || fault "$what: exit status $got, expected $expected: $(cat err.txt)"
}
said() { # WHAT LINES: all that weir said before the summary
  same "$1" "$2" "$(grep '^weir: ' err.txt)"
}
started() { same "$1: jobs of workers" "$2" "$(tr '\n' ' ' <starts)"; }

# ---- killed twice: restarted twice, then all is well ----
recipe "{backoff: 0.2}"
status "killed twice" 0 env DEATHS=2 DEATH=kill "$weir" run a.yaml -- "$heat" 16 16 20 10
started "killed twice" "0 1 2 "
said "killed twice" "weir: worker 0 was killed (signal 9) at step 120; restarted from step 100 (1 of 3)
weir: worker 0 was killed (signal 9) at step 125; restarted from the beginning (2 of 3)"
same "rows after restarts" 4 "$(wc -l <a.csv)"
grep -q '"restarts": 2,' a.run/report.json || fault "killed twice: the report says $(grep restarts a.run/report.json)"
[ ! -e a.run/checkpoint ] || fault "killed twice: checkpoints of a complete run are left"

# ---- exit statuses, and failures that another job may not meet ----
status "exit status" 0 env DEATHS=1 DEATH=status "$weir" run a.yaml -- "$heat" 16 16 20 10
said "exit status" "weir: worker 0 ended early (exit status 3) at step 120; restarted from the beginning (1 of 3)"
status "healing" 0 env DEATHS=1 DEATH=healing "$weir" run a.yaml -- "$heat" 16 16 20 10
said "healing" "weir: the workers failed: no room on the disk at step 120; restarted from the beginning (1 of 3)"

# ---- no end of dying: the simulation goes on without analysis ----
recipe "{retries: 2, backoff: 0.1}"
status "always killed" 1 env DEATHS=99 DEATH=kill "$weir" run a.yaml -- sh -c "$heat 16 16 20 10 >/dev/null 2>&1 && touch went-on"
started "always killed" "0 1 2 "
grep -q 'weir: worker 0 was killed (signal 9) at step 125; not restarted any more (2 of 2); the simulation goes on without analysis' err.txt ||
  fault "always killed: $(cat err.txt)"
[ -e went-on ] || fault "always killed: the simulation did not go on"
rm -f went-on
recipe "{retries: 0}"
status "no retries" 1 env DEATHS=99 DEATH=kill "$weir" run a.yaml -- sh -c "$heat 16 16 20 10 >/dev/null 2>&1 && touch went-on"
started "no retries" "0 "
[ -e went-on ] || fault "no retries: the simulation did not go on"

# ---- a failure for good ----
recipe "{backoff: 0.1}"
status "failed for good" 1 env DEATHS=99 DEATH=final "$weir" run a.yaml -- "$heat" 16 16 20 10
started "failed for good" "0 "
said "failed for good" "weir: made up; the simulation goes on without analysis"

# ---- what a dead worker leaves goes before the next one starts; the simulation's own stays ----
status "orphans" 0 env DEATHS=1 DEATH=orphan "$weir" run a.yaml -- \
  sh -c "setsid sleep 66666 & $heat 16 16 20 10; pgrep -f '^sleep 77777' >left; pgrep -f '^sleep 66666' >own; kill \$(cat own)"
[ ! -s left ] || fault "orphans: those of the worker are left"
[ -s own ] || fault "orphans: that of the simulation was ended"

# find_workers N: their processes, as $hung
find_workers() {
  for _ in $(seq 50); do # a process that is just being made, or ends, bears the name of another for a moment
    hung=$(pgrep -f "weir worker $folder/a.run" | grep -vx "$(pgrep -f "mpirun.*weir worker $folder/a.run" || echo none)")
    [ "$(echo "$hung" | wc -w)" = "$1" ] && break
    sleep 0.1
  done
  same "$1 workers: processes" "$1" "$(echo "$hung" | wc -w)"
}

# ---- a hung worker is killed, and with it all of its job, also under an MPI launcher ----
recipe "{backoff: 0.1, heartbeat: 2 s}"
steps=20000
[ "$sanitized" ] && steps=3000 # seconds, too
sed -i '/^launch/d' a.yaml
for workers in 1 2; do
  rm -f starts a.csv ended
  (ASAN_OPTIONS=detect_leaks=0 "$weir" run a.yaml --workers $workers -- sh -c "$heat 400 400 $steps 10 >/dev/null 2>&1; touch ended" \
    >out.txt 2>err.txt) &
  for _ in $(seq 100); do [ -s a.csv ] && [ "$(wc -l <a.csv)" -gt 2 ] && break; sleep 0.1; done
  find_workers $workers
  kill -STOP $(echo "$hung" | tail -1) || fault "hung worker: not found"
  wait
  grep -Eq '^weir: worker [01] did not say for 2 s that it lives and was killed' err.txt || fault "hung worker: $(cat err.txt)"
  [ -e ended ] || fault "hung worker: the simulation did not end"
  for pid in $hung; do [ ! -e "/proc/$pid" ] || fault "hung worker: process $pid lives"; done
done

# ---- a worker that hangs before the first step is found as well; waiting for the simulation is no hanging ----
for workers in 1 2; do
  rm -f a.csv go
  ("$weir" run a.yaml --workers $workers -- sh -c "while [ ! -e go ]; do sleep 0.1; done; exec $heat 16 16 20 10" >out.txt 2>err.txt
   echo $? >code) &
  for _ in $(seq 100); do [ -e a.run/live/worker.$((workers - 1)) ] && break; sleep 0.1; done
  sleep 3.5 # longer than the heartbeat
  find_workers $workers
  hung=$(echo "$hung" | tail -1)
  kill -STOP "$hung" || fault "hung early: not found"
  for _ in $(seq 100); do [ -e "/proc/$hung" ] || break; sleep 0.1; done
  [ ! -e "/proc/$hung" ] || fault "hung early: process $hung lives"
  sleep 1
  touch go
  wait
  same "hung early, $workers: exit status" 0 "$(cat code)"
  same "hung early, $workers" 1 "$(grep -c '^weir: ' err.txt)"
  grep -Eq '^weir: worker [01] did not say for 2 s that it lives and was killed; restarted from the beginning \(1 of 3\)' err.txt ||
    fault "hung early, $workers: $(cat err.txt)"
  same "hung early, $workers: rows" 4 "$(wc -l <a.csv)"
  grep -q '"restarts": 1,' a.run/report.json || fault "hung early, $workers: the report says $(grep restarts a.run/report.json)"
done

# ---- the simulation dies: started again with its own command, and the workers with it ----
cat >dying <<'END'
#!/bin/sh
echo "$WEIR_RESTART $*" >>"$folder/runs"
[ "$WEIR_RESTART" = 0 ] || exec "$@"
sleep 1
echo ended >"$folder/ended"
kill -9 $$
END
chmod +x dying
recipe "{backoff: 0.1}" "restart: ./dying $heat 16 16 20 10"
status "dying simulation" 0 env DEATHS=1 DEATH=wait "$weir" run a.yaml -- ./dying first
started "dying simulation" "0 1 "
same "dying simulation: its commands" "0 first
1 $heat 16 16 20 10" "$(cat runs)"
said "dying simulation" "weir: the simulation was killed (signal 9) at step 120; started again (1 of 3)"
same "rows of the second simulation" 4 "$(wc -l <a.csv)"
rm -f runs
recipe "{backoff: 0.1}" "restart: yes"
status "same command" 9 "$weir" run a.yaml -- sh -c 'echo x >>runs; exit 9'
same "started again as often as that" 4 "$(wc -l <runs)"
refused "restart without a command" "a.yaml:2:25: restart: needs the command of the simulation after --" "$weir" run a.yaml
rm -f runs starts ended

# ---- going on with a run ----
recipe "{backoff: 0.1}"
rm -rf a.run
refused "no run" "a.run: there is no run to resume" "$weir" run --resume a.yaml -- true
status "first part" 3 "$weir" run a.yaml -- sh -c "$heat 16 16 20 10; exit 3"
[ -d a.run/checkpoint ] || fault "first part: no checkpoints are kept"
refused "other workers" "a.run: cannot be resumed with --workers 2: that run had 1" "$weir" run --resume --workers 2 a.yaml -- true
cp a.yaml b.yaml
echo "# more" >>a.yaml
refused "other recipe" "a.run: cannot be resumed: a.yaml differs from the recipe of that run, $folder/a.run/recipe.yaml, from line 9 on" \
  "$weir" run --resume a.yaml -- true
cp b.yaml a.yaml
status "second part" 0 "$weir" run --resume a.yaml -- "$heat" 16 16 20 10
status "third part" 0 "$weir" run --resume a.yaml -- "$heat" 16 16 20 10
said "third part" "weir: the run in a.run is complete; there is nothing to resume"
finish

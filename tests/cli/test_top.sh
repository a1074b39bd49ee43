# weir-test: timeout=120
# weir top beside a living run, after it, and where there is none; the heartbeat goes on while no steps come.
. "$WEIR_SOURCE/tests/cli/lib.sh"
simulation || { echo "the example heat2d is not built"; exit 77; }
recipe="$WEIR_SOURCE/examples/heat.yaml"

refused "no run" "none.run: no run lives or lived in this directory (it has no run.json)" "$weir" top none.run --once
refused "no argument" "a run directory is missing (weir help top)" "$weir" top
refused "unknown option" "unknown option --twice (weir help top)" "$weir" top --twice x
"$weir" top --help | grep -q 'usage: weir top RUNDIR' || fault "no help"
"$weir" help | grep -q '  top       show how a run is doing' || fault "top is not listed"

"$weir" run "$recipe" --dir heat.run -- sh -c "$heat 300 300 2000000 10 >/dev/null" >out.txt 2>err.txt &
supervisor=$!
for _ in $(seq 200); do "$weir" top heat.run --once 2>/dev/null | grep -q '^heat   running .*step' && break; sleep 0.1; done
for _ in $(seq 200); do "$weir" top heat.run --once | grep -qE '^heat  +[0-9.]+ .* (us|ms|s) ' && break; sleep 0.1; done
"$weir" top heat.run --once >shown.txt || fault "top failed beside a run"
# exactly these lines; the figures themselves vary
time='[0-9.]+ (us|ms|s|min)'
number='[0-9.]+( [kM])?'
mapfile -t shown < <(grep -v "^[0-9]* checkpoints* made$" shown.txt) # how many depends on the time
expected=(
  "heat   running   $time   step [0-9]+   time $time"
  ""
  "stream    steps/s   median     99 % blocked queue spill drop"
  "heat +$number +$time +$time +[0-9.]+ % +[0-9]+ +0 +0"
  ""
  "worker host        tasks/s     memory   load restart    beat"
  "0 +[^ ]+ +$number +[0-9.]+ [KMG]iB +[0-9]+ % +0 +[0-9.]+ s"
)
[ "${#shown[@]}" = "${#expected[@]}" ] || fault "beside a run: ${#shown[@]} lines: $(cat shown.txt)"
for i in "${!expected[@]}"; do
  [[ "${shown[$i]}" =~ ^${expected[$i]}$ ]] || fault "line $i: ${shown[$i]} is not ${expected[$i]}"
done
[ "$(wc -L <shown.txt)" -le 80 ] || fault "wider than 80 columns"
same "mode" "700 600" "$(stat -c %a heat.run/live heat.run/live/worker.0 | tr '\n' ' ' | sed 's/ $//')"

# the simulation is stopped: no step comes, the worker still beats once a second
heats=$(pgrep -f "^$WEIR_BUILD/bin/heat2d 300 300 2000000" | head -1)
kill -STOP "$heats"
sleep 3
age=$("$weir" top heat.run --once | awk '$1 == "0" && NF > 5 {print $(NF - 1)}')
awk -v age="$age" 'BEGIN {exit !(age != "" && age < 2.5)}' || fault "the last beat is $age s old"
kill -CONT "$heats"
kill -TERM "$supervisor"
wait "$supervisor"
"$weir" top heat.run >shown.txt || fault "top fails after the run"
grep -q '^heat has ended: complete$' shown.txt || fault "after the run: $(cat shown.txt)"
grep -q '^heat: [0-9]* steps in ' shown.txt || fault "no summary after the run: $(cat shown.txt)"
[ ! -e heat.run/live ] || fault "live records are left"
finish

# weir-test: timeout=120
# Steering as people use it: what check says of it, rules beside a simulation, outputs that begin and end, a replay,
# weir set on a run that goes on, and what is refused.
. "$WEIR_SOURCE/tests/cli/lib.sh"
simulation || { echo "the example heat2d is not built"; exit 77; }
recipe() { printf 'run: s\nstream: {simulation: {policy: {slots: 3}}}\nparameters:\n  level: {value: 1, least: 0, most: 4}\nfields:\n  hot: mean(temperature) * level\n%s\n' "$1"; }
csv='outputs:
  - csv: {path: s.csv, fields: [level, hot]}'

# ---- what is refused, and where ----
wrong() { recipe "$2" >a.yaml; refused "$1" "a.yaml:$3" "$weir" check a.yaml; }
wrong "no list" "rules: 3
$csv" '7:8: rules: expected a list, such as - when: "ke_mean > 0.05"'
wrong "no condition" "rules:
  - stop: yes
$csv" '8:5: a rule: when is missing'
wrong "no action" "rules:
  - when: step > 3
$csv" '8:5: a rule: expected set, output, extract or stop beside when'
wrong "misspelt key" "rules:
  - when: step > 3
    sett: {level: 1}
$csv" '9:5: unknown key sett in a rule, did you mean set?'
wrong "no such output" "rules:
  - when: step > 3
    output: {detial: start}
outputs:
  - csv: {path: s.csv, fields: [level], name: detail}" '9:14: no output has name: detial; did you mean detail?'
wrong "no such verb" "rules:
  - when: step > 3
    output: {detail: begin}
outputs:
  - csv: {path: s.csv, fields: [level], name: detail}" '9:22: detail: expected one of start, stop, once, got "begin"'
wrong "nobody starts it" "outputs:
  - csv: {path: s.csv, fields: [level], active: no}" '8:5: active: no, and no rule starts this output, so it would never be written'
wrong "hold" "rules:
  - when: step > 3
    hold: a while
    stop: yes
$csv" '9:11: hold: expected a number of steps or a time, such as 20 steps or 6 h'
wrong "delay" "steering: {delay: 0}
$csv" '7:19: delay is 0, expected 1 to 512'
wrong "not reproducible" "reproducible: no
$csv" '7:15: reproducible: no is not available in this version'
wrong "operator" "rules:
  - when: meen(temperature) > 3
    stop: yes
$csv" "8:11: no operator or function 'meen'; did you mean 'mean'?"
printf 'run: s\nstream: {simulation: {policy: {when_full: drop}}}\nrules:\n  - when: step > 3\n    stop: yes\n%s\n' "$csv" >a.yaml
refused "drop" "a.yaml:4:5: steering cannot be reproduced with when_full: drop_newest, expected when_full: block (reproducible: no is not available in this version)" "$weir" check a.yaml
printf 'run: s\nstream: {files: a.nc}\nfeedback: {nudge: {lag: 1}}\n%s\n' "$csv" >a.yaml
refused "feedback to files" "a.yaml:3:12: feedback goes to a simulation; files take none" "$weir" check a.yaml
rm -f a.yaml

# ---- with a schema more is known ----
known() { printf 'run: f\nstream:\n  simulation: {}\n  expects:\n    fields:\n      eta: {dimensions: {y: 20, x: 30}}\n      depth: {dimensions: {y: 20, x: 30}, static: yes}\n    parameters: {wind: {value: 1, least: 0, most: 3}}\noutputs:\n  - csv: {path: a.csv, fields: ["mean(eta)"]}\n%s\n' "$1" >a.yaml; }
known 'feedback:
  nudge: {field: "0 - eta", lag: 2, when_late: hold, every: 10}
  eta: {}'
"$weir" check a.yaml >check.txt || fault "feedback is refused"
for line in 'parameter wind = 1, of the simulation, 0 to 3' 'nudge = 0 - eta, for the published step 2 later; when it is late the last value is kept' \
  'eta = eta, for the published step 1 later; when it is late the simulation waits, at most 10 s'; do
  grep -q "^  $line$" check.txt || fault "check does not say: $line: $(cat check.txt)"
done
known 'feedback: {depth: {}}'
refused "static feedback" "a.yaml:11:12: feedback depth: 'depth' never changes, expected a field of each step" "$weir" check a.yaml
known 'feedback: {nothing: {}}'
refused "unknown feedback" "a.yaml:11:12: no field or parameter is named 'nothing'" "$weir" check a.yaml
known 'feedback: {eta: {when_late: zero, timeout: 3}}'
refused "timeout of zero" "a.yaml:11:44: timeout belongs to when_late: wait" "$weir" check a.yaml
known 'rules: [{when: eta > 3, stop: yes}]'
refused "a field as a condition" "a.yaml:11:16: 'eta > 3' is a field with dimension y: expected a single number, such as its mean() or max()" "$weir" check a.yaml
known 'rules: [{when: mean(eta) > 3, set: {wnd: 1}}]'
refused "no such parameter" "a.yaml:11:37: neither the recipe nor the simulation has a parameter wnd; did you mean wind?" "$weir" check a.yaml
known 'parameters: {wind: 3}'
refused "the simulation's name" "a.yaml:11:14: the simulation has a parameter wind already; choose another name" "$weir" check a.yaml
rm -f a.yaml

# ---- rules beside a simulation: 21 published steps, 0 10 ... 200 ----
recipe 'rules:
  - when: "step > 50"
    set: {level: "level + 0.5"}
    output: {detail: start}
  - when: "abs(sin(step / 20)) > 0.9"
    hold: 20 steps
    set: {level: "2 * level"}
  - when: "step == 100"
    extract: {detail: {every: 20}}
    output: {shot: once}
  - when: "step == 150"
    output: {detail: stop}
outputs:
  - csv: {path: s.csv, fields: [level, hot], name: table}
  - csv: {path: d.csv, fields: [hot], name: detail, every: 30, active: no}
  - csv: {path: o.csv, fields: [hot], name: shot, active: no}' >s.yaml
"$weir" check s.yaml >check.txt || fault "check fails"
for line in 'steering: a decision takes effect 3 published steps later' '  parameter level = 1, of the recipe, 0 to 4' \
  '  rule 2: when abs(sin(step / 20)) > 0.9, not within 20 steps: level = 2 \* level' '  rule 3: when step == 100: write output detail every 20 steps, write once output shot'; do
  grep -q "^$line" check.txt || fault "check does not say: $line: $(cat check.txt)"
done
run() { "$weir" run s.yaml "$@" >out.txt 2>err.txt || fault "run $*: $(cat err.txt)"; }
run --dir one.run --threads 0 -- "$heat" 64 48 200 10
same "the log" "step=30 ordinal=3 effect=6 cause=rule:2 set level=2 was=1
step=60 ordinal=6 effect=9 cause=rule:1 set level=2.5 was=2
step=60 ordinal=6 effect=9 cause=rule:1 output detail=start
step=90 ordinal=9 effect=12 cause=rule:2 refused level=5 least=0 most=4
step=100 ordinal=10 effect=13 cause=rule:3 extract detail=steps period=20 phase=0
step=100 ordinal=10 effect=13 cause=rule:3 output shot=once
step=150 ordinal=15 effect=18 cause=rule:2 refused level=5 least=0 most=4
step=150 ordinal=15 effect=18 cause=rule:4 output detail=stop" "$(cat one.run/decisions.log)"
same "levels" "1 1 1 1 1 1 2 2 2 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5" "$(tail -n +2 s.csv | cut -d, -f3 | tr '\n' ' ' | sed 's/ $//')"
same "detail: every 30 from 90, every 20 from 130, until 170" "90 120 140 160" "$(tail -n +2 d.csv | cut -d, -f1 | tr '\n' ' ' | sed 's/ $//')"
same "one shot" "130" "$(tail -n +2 o.csv | cut -d, -f1)"
grep -q '"decisions": 6' one.run/report.json || fault "the report does not count the decisions"
grep -q 'rule 2 sets level to 5, expected 0 to 4; not applied' err.txt || fault "no word of the value refused: $(cat err.txt)"
same "what is left" "decisions.log recipe.yaml report.json run.json schema.yaml" "$(ls -A one.run | sort | tr '\n' ' ' | sed 's/ $//')"
cat s.csv d.csv o.csv >one.txt

# ---- the same for other workers and threads, and from the log ----
run --dir two.run --workers 2 --threads 2 --ranks 2 -- "$heat" 64 48 200 10
same "two workers" "$(cat one.txt)" "$(cat s.csv d.csv o.csv)"
same "their log" "$(cat one.run/decisions.log)" "$(cat two.run/decisions.log)"
run --dir three.run --replay-decisions one.run/decisions.log -- "$heat" 64 48 200 10
same "replayed" "$(cat one.txt)" "$(cat s.csv d.csv o.csv)"
same "replayed log" "$(cat one.run/decisions.log)" "$(cat three.run/decisions.log)"
refused "no such log" "none.log: No such file or directory" "$weir" run s.yaml --dir one.run --replay-decisions none.log -- "$heat" 64 48 200 10

# ---- people ----
recipe "steering:
outputs:
  - csv: {path: p.csv, fields: [level]}" >p.yaml
"$weir" run p.yaml --dir p.run --threads 0 -- "$heat" 160 160 40000 10 >out.txt 2>err.txt &
job=$!
for i in $(seq 100); do [ -s p.run/parameters ] && break; sleep 0.1; done
"$weir" set p.run level=2.5 >set.txt 2>&1 || fault "weir set: $(cat set.txt)"
grep -qE '^accepted: decided at step [0-9]+, takes effect at published step [0-9]+$' set.txt || fault "the answer is $(cat set.txt)"
"$weir" set p.run >list.txt || fault "weir set without values"
grep -qE '^level +[0-9.]+ +2.5 +0 to 4 +recipe$' list.txt || fault "the list is $(cat list.txt)"
refused "out of limits" "level=5: expected 0 to 4" "$weir" set p.run level=5
refused "misspelt" "lebel=1: the run p.run has no parameter lebel; did you mean level?" "$weir" set p.run lebel=1
refused "no number" "level=high: expected name=number" "$weir" set p.run level=high
wait $job || fault "the run that was steered: $(cat err.txt)"
effect=$(sed -n 's/.* effect=\([0-9]*\) cause=person:.* set level=2.5 was=1$/\1/p' p.run/decisions.log)
[ -n "$effect" ] || fault "the log is $(cat p.run/decisions.log)"
same "first row with the value" "$((effect * 10))" "$(awk -F, '$3 == 2.5 { print $1; exit }' p.csv)"
"$weir" set p.run level=1 >set.txt 2>&1
same "a run that has ended" "1 weir: p.run: no run lives here" "$? $(cat set.txt)"
cp p.csv first.csv
"$weir" run p.yaml --dir q.run --threads 0 --replay-decisions p.run/decisions.log -- "$heat" 160 160 40000 10 >out.txt 2>err.txt || fault "replay: $(cat err.txt)"
cmp -s p.csv first.csv || fault "the replay of what a person did differs"
cmp -s p.run/decisions.log q.run/decisions.log || fault "and so does its log"

# ---- without a run: a directory that looks like one ----
mkdir -p fake/requests
printf 'step=7 ordinal=7 delay=2\nwind value=0.8 decided=0.9 least=0 most=inf of=simulation\n' >fake/parameters
same "its parameters" "parameter            value          decided        limits                   of the
wind                 0.8            0.9            0 to inf                 simulation
as of step 7; the run has ended" "$("$weir" set fake)"
"$weir" set fake wind=1 >set.txt 2>&1
same "nobody there" "1 weir: fake: the run has ended" "$? $(cat set.txt)"
exec 9<fake
flock 9
"$weir" set fake wind=1 --timeout 0.3 9<&- >set.txt 2>&1
same "no answer" "1 weir: fake: no step was analysed within 0.3 s; the request is withdrawn" "$? $(cat set.txt)"
same "nothing is left" "" "$(ls -A fake/requests)"
(until r=$(ls fake/requests/*.request 2>/dev/null); do sleep 0.05; done
 stat -c %a "$r" >mode.txt; cat "$r" >asked.txt
 mv "$r" "${r%.request}.taken"; printf 'accepted step=9 effect=11\n' >"${r%.request}.answer") &
"$weir" set fake wind=1 --timeout 10 9<&- >set.txt 2>&1
same "answered" "0 accepted: decided at step 9, takes effect at published step 11" "$? $(cat set.txt)"
same "what was asked" "600 wind=1" "$(cat mode.txt asked.txt | tr '\n' ' ' | sed 's/ $//')"
exec 9<&-
refused "no directory" "none.run: No such file or directory" "$weir" set none.run
refused "nothing" "a run directory is missing, such as gyre.run (weir help set)" "$weir" set
"$weir" set --help | grep -q 'exit status: 0 accepted' || fault "no help"
finish

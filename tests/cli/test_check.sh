# weir-test: timeout=60
# What weir check, ops, version and help print.
. "$WEIR_SOURCE/tests/cli/lib.sh"

cat >a.yaml <<'END'
run: basin
stream:
  simulation: {}
  chunks: {y: 24}
  expects:
    time_units: days since 2000-01-01
    fields:
      u: {type: float32, dimensions: {y: 96, x: 128}, units: m s-1, location: u}
      depth: {dimensions: {y: 96, x: 128}, units: m, static: yes}
fields:
  fastest: max(abs(u))
outputs:
  - zarr: {path: u.zarr, fields: [u], every: 6 h}
  - csv: {path: u.csv, fields: [fastest]}
END
expected='a.yaml: run basin
fields of the stream, from expects:; time in days since 2000-01-01
  name   shape        chunks             type     units  notes
  u      y 96, x 128  4 x 1 of 24 x 128  float32  m s-1  on points u
  depth  y 96, x 128  4 x 1 of 24 x 128  float64  m      static, not used
fields of the recipe
  name     shape   chunks  type     units  notes
  fastest  scalar  1       float64  m s-1
outputs
  zarr  u.zarr  every 6 h: u
  csv   u.csv  every step: fastest
when workers are behind, or die
  block: without room for a step, a process of the simulation waits at most 10.0 min, then goes on without analysis
  room: 4 steps for each process, of at most 48.0 KiB for all processes together: 192.0 KiB of shared memory
  checkpoints: every 10.0 s, and at least every 2 steps; they outlive processes, not the node (durable: node)
  workers that die, or are silent for 30.0 s, are started again, at most 3 times in a row'
same "check" "$expected" "$("$weir" check a.yaml | sed '/^placements/,$d')"
same "placements" "placements, in a step in which everything is due, 1 worker; plan: memory of each
  * node     copied 48.0 KiB, sent 0 B; slots 192.0 KiB, plan 192.2 KiB
    transit  copied 48.0 KiB, sent 48.0 KiB; slots 192.0 KiB, plan 192.2 KiB; and one process to forward per node
    inline   copied 0 B, sent 0 B; slots 0 B, plan 192.2 KiB in as many
             processes of the simulation, which waits for every step, and dies with the analysis" \
  "$("$weir" check a.yaml | sed -n '/^placements/,/^plan of/p' | sed '/^plan of/d')"
sed 's/simulation: {}/simulation: {placement: inline}/' a.yaml >b.yaml
same "placement inline" "  * inline" "$("$weir" check b.yaml | grep -o '^  \* inline')"
sed 's/simulation: {}/simulation: {placement: inline, policy: {slots: 3}}/' a.yaml >b.yaml
"$weir" check b.yaml >out.txt 2>&1 && fault "a policy is accepted with placement inline"
grep -q 'b.yaml:[0-9]*:[0-9]*: policy is for workers that are behind' out.txt || fault "$(cat out.txt)"
rm b.yaml out.txt
same "plan for three workers" "plan of each step, 3 workers" "$("$weir" check a.yaml --workers 3 | grep ^plan)"
same "rows of the plan" 4 "$("$weir" check a.yaml --workers=3 | sed '1,/^plan/d' | wc -l)"
sed 's/^  fastest: .*/  speed: abs(u)\n  fastest: max(speed)\n  shear: ddy(u)\n  left: 3 * shear\n  twice: 2 * u/; s/\[fastest\]/[fastest, mean(left)]/' a.yaml >b.yaml
same "fields that are not stored" "speed: computed where it is used
fastest: stored
shear: computed where it is used
left: stored
twice: not used" "$("$weir" check b.yaml | awk '/^  (speed|fastest|shear|left|twice) / {
  print $1 ": " (/computed where it is used/ ? "computed where it is used" : /not used/ ? "not used" : "stored")}')"
rm b.yaml
# overload TEXT RECIPE-LINES...: what is said of overload and recovery
overload() {
  local expected=$1
  shift
  cp a.yaml b.yaml
  for line; do sed -i "$line" b.yaml; done
  same "$*" "$expected" "$("$weir" check b.yaml | sed '1,/^when workers/d; /^placements/,$d')"
  rm b.yaml
}
overload '  spill: without room, a step is written to a file in /scratch, of at most 1.0 MiB for each process: at least 21 steps
  when that is full, the process waits at most 60.0 s, then leaves steps out until there is room again
  while steps are spilled, processes hold one more each, and workers up to 3 that they read back: 192.0 KiB of memory of their own
  room: 4 steps for each process, of at most 48.0 KiB for all processes together: 192.0 KiB of shared memory
  checkpoints: every 20 steps; they outlive the node
  workers that die are started again, at most 5 times in a row
  a simulation that dies is started again, at most 3 times in a row: with the same command' \
  's/simulation: {}/simulation: {policy: {when_full: spill, capacity: 1 MiB, directory: \/scratch, timeout: 60, fallback: drop}, restart: yes}/' \
  '1i checkpoint: {every: 20 steps, durable: node}' '1i recovery: {retries: 5, heartbeat: no}'
overload '  drop_oldest: without room, the oldest step that no worker has begun to read is left out; the simulation never waits
  room: 8 steps for each process, of at most 48.0 KiB for all processes together: 384.0 KiB of shared memory
  checkpoints: every 4 steps, half of the room; they outlive processes, not the node (durable: node)
  workers that die are not started again; weir run --resume goes on' \
  's/simulation: {}/simulation: {policy: {when_full: drop_oldest, slots: 8}}/' '1i checkpoint: {every: 8 steps}' '1i recovery: {retries: 0}'
overload '  drop_newest: a step for which there is no room is left out; the simulation never waits
  room: 4 steps for each process, of at most 48.0 KiB for all processes together: 192.0 KiB of shared memory
  no checkpoints: a worker that dies after the first step is not replaced' \
  's/simulation: {}/simulation: {policy: {when_full: drop}}/' '1i checkpoint: no'
sed '1i checkpoint: {every: 100 steps}' a.yaml >b.yaml
refused "checkpoints too far apart" \
  "b.yaml:1:21: a checkpoint every 100 steps needs 100 slots; with block there are 4 (policy: {slots: 100}, or when_full: spill)" \
  "$weir" check b.yaml
rm b.yaml
sed -i '/expects:/,/static/d' a.yaml
"$weir" check a.yaml | grep -q 'unknown until the simulation has defined its fields' || fault "what is unknown is not said"
same "nothing is written" "a.yaml" "$(ls -A)"

"$weir" ops | grep -q '^mean  *mean over all or the named dimensions$' || fault "ops does not list mean"
same "sorted" "$("$weir" ops | cut -d' ' -f1)" "$("$weir" ops | cut -d' ' -f1 | LC_ALL=C sort)"
for operator in $("$weir" ops | cut -d' ' -f1); do
  "$weir" ops "$operator" >text || fault "ops $operator fails"
  head -1 text | grep -q "^$operator: " || fault "ops $operator: $(head -1 text)"
  grep -q "^  $operator(" text || fault "ops $operator does not show a call"
done

"$weir" version | head -1 | grep -Eq '^weir [0-9]+\.[0-9]+\.[0-9]+ \(' || fault "version: $("$weir" version | head -1)"
same "--version" "$("$weir" version)" "$("$weir" --version)"
for command in run check ops version worker; do
  "$weir" help $command | head -1 | grep -q "^usage: weir $command" || fault "help $command"
  "$weir" help $command | grep -q '^example' || fault "help $command has no example"
  same "$command --help" "$("$weir" help $command)" "$("$weir" $command --help)"
done
"$weir" --help | grep -q 'weir run gyre.yaml' || fault "--help has no example"
finish

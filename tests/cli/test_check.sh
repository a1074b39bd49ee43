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
  csv   u.csv  every step: fastest'
same "check" "$expected" "$("$weir" check a.yaml | sed '/^plan/,$d')"
same "plan for three workers" "plan of each step, 3 workers" "$("$weir" check a.yaml --workers 3 | grep ^plan)"
same "rows of the plan" 4 "$("$weir" check a.yaml --workers=3 | sed '1,/^plan/d' | wc -l)"
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

# weir-test: timeout=120
# Bad input of every kind: one message that says what, where and what was expected; exit status 2; nothing written.
. "$WEIR_SOURCE/tests/cli/lib.sh"

# recipe FIELDS OUTPUTS: a recipe whose fields start in line 9
recipe() {
  local outputs=${2:-}
  [ -n "$outputs" ] || outputs="  - csv: {path: a.csv, fields: [a]}"
  cat >a.yaml <<END
stream:
  simulation: {}
  expects:
    time_units: s
    fields:
      u: {dimensions: {y: 8, x: 16}, units: m s-1}
      t: {dimensions: {y: 8, x: 16}, units: K}
parameters: {level: 1}
fields:
$1
outputs:
$outputs
END
}
checked() { # WHAT MESSAGE FIELDS OUTPUTS: check and run say the same
  recipe "$3" "${4:-}"
  refused "$1 (check)" "$2" "$weir" check a.yaml
  refused "$1 (run)" "$2" "$weir" run a.yaml -- true
}

# ---- the command line ----
refused "no command" "a command is missing, such as run or check (weir help)" "$weir"
refused "unknown command" "unknown command chek, did you mean check? (weir help)" "$weir" chek
refused "unknown option" "unknown option --wokers (weir help run)" "$weir" run --wokers 2
refused "bad number" "--workers two: expected a whole number from 1 to 1048576 (weir help run)" "$weir" run a.yaml --workers two
refused "value missing" "--workers : expected a whole number from 1 to 1048576 (weir help check)" "$weir" check a.yaml --workers
refused "no recipe" "a recipe is missing (weir help run)" "$weir" run
refused "no command after --" "no command after -- (weir help run)" "$weir" run a.yaml --
refused "missing recipe" "a.yaml: No such file or directory" "$weir" run a.yaml -- true
refused "unknown operator" "no operator meam, did you mean mean?" "$weir" ops meam
recipe "  a: mean(u)"
refused "unknown parameter" "--set levl=2: a.yaml has no parameter levl, did you mean level?" "$weir" run a.yaml --set levl=2 -- true
refused "no number" "--set level=x: expected name=number" "$weir" run a.yaml --set level=x -- true
refused "no such program" "cannot start ./nosuch: No such file or directory" "$weir" run a.yaml -- ./nosuch
refused "not on PATH" "cannot start weir-no-such: no such program on PATH" "$weir" run a.yaml -- weir-no-such
OMPI_COMM_WORLD_SIZE=1 refused "under mpirun" \
  "weir run was started by an MPI launcher; start it by itself, it starts the MPI jobs" "$weir" run a.yaml -- true

# ---- the recipe ----
printf 'run: a\nstream: {simulation: {}}\nfeilds: {}\n' >a.yaml
refused "unknown key" "a.yaml:3:1: unknown key feilds in the recipe, did you mean fields?" "$weir" check a.yaml
printf 'run: [\n' >a.yaml
refused "no YAML" "a.yaml:2:1: not YAML: did not find expected node content while parsing a flow node" "$weir" check a.yaml
printf 'stream: {simulation: {}}\noutputs:\n  - csv: {path: a.csv, fields: [u]}\nmodels: []\n' >a.yaml
refused "later feature" "a.yaml:4:1: models is not available in this version" "$weir" check a.yaml
head -c 2000000 /dev/zero | tr '\0' 'x' >a.yaml
refused "too large" "a.yaml: larger than 1 MiB" "$weir" check a.yaml
printf 'run: "\001"\n' >a.yaml
refused "not text" "a.yaml: control characters are not allowed at byte 6, expected text in UTF-8" "$weir" check a.yaml

# ---- fields ----
checked "unknown field" "a.yaml:10:11: no field or parameter is named 'uu'; did you mean 'u'?" "  a: mean(uu)"
checked "unknown operator" "a.yaml:10:6: no operator or function 'meen'; did you mean 'mean'?" "  a: meen(u)"
checked "wrong number of fields" "a.yaml:10:17: mean has too many arguments (3): expected mean(f, weights=..., axes)" "  a: mean(u, u, u)"
checked "unknown argument" "a.yaml:10:18: mean has no parameter 'axs'; did you mean 'axes'?: expected mean(f, weights=..., axes)" "  a: mean(u, axs=x)"
checked "wrong dimension" "a.yaml:10:6: \"z\" is no dimension of the field, which has [y, x]" "  a: mean(u, axes=z)"
checked "units that differ" "a.yaml:10:8: 'u' is in \"m s-1\" but 't' in \"K\": expected the same units" "  a: u + t"
checked "kind of a parameter" "a.yaml:10:31: parameter window of power_spectrum: expected one of none, hann, got \"hamm\"" "  a: power_spectrum(u, window=hamm)"
checked "cycle" "a.yaml:11:6: field 'a' needs itself: a -> b -> a (lag() of an earlier step does not break a cycle)" "  a: b + 1
  b: a + 1"
checked "name of the stream" "a.yaml:10:3: the stream has a field u already; choose another name" "  u: 2 * t"
checked "syntax" "a.yaml:10:9: the expression ends after 'u *': expected a field, a number, an operator or '('" "  a: u * "

# ---- outputs ----
checked "unknown field in an output" "a.yaml:12:33: no field or parameter is named 'bogus'" \
  "  a: mean(u)" "  - csv: {path: a.csv, fields: [bogus]}"
checked "too many columns" "a.yaml:12:5: a table has at most 16 fields, 17 given; write several tables" "  a: mean(u)" \
  "  - csv: {path: a.csv, fields: [$(seq -s, -f '"%g * a"' 17)]}"
checked "chunks of no dimension" "a.yaml:12:5: chunks: no field of this output has a dimension z" "  a: mean(u)" \
  "  - zarr: {path: a.zarr, fields: [u], chunks: {z: 3}}"
checked "reserved name" "a.yaml:12:35: step cannot be the name of an array in a Zarr store" "  a: mean(u)" \
  "  - zarr: {path: a.zarr, fields: [step]}"

# ---- files ----
printf 'stream: {files: none.nc}\noutputs:\n  - csv: {path: a.csv, fields: [u]}\n' >a.yaml
refused "missing file" "a.yaml:1:17: cannot read none.nc: No such file or directory" "$weir" run a.yaml
printf 'stream: {files: "*.nc"}\noutputs:\n  - csv: {path: a.csv, fields: [u]}\n' >a.yaml
refused "no match" "a.yaml:1:18: files: nothing matches *.nc" "$weir" run a.yaml
printf 'CDF\001\000\000' >short.nc
refused "truncated NetCDF" "a.yaml:1:18: short.nc is damaged: its NetCDF header makes no sense" "$weir" run a.yaml
rm short.nc
echo text >odd.nc
refused "no NetCDF" "a.yaml:1:18: odd.nc: cannot be read as NetCDF: NetCDF: Unknown file format" "$weir" run a.yaml
rm odd.nc

# ---- operators ----
recipe "  a: mean(u)"
echo 'operators: none.so' >>a.yaml
refused "missing operators" \
  "a.yaml:13:12: none.so: cannot be loaded: ./none.so: cannot open shared object file: No such file or directory" "$weir" check a.yaml
recipe "  a: mean(u)"
mkdir a.run && echo mine >a.run/file
refused "run directory in use" "a.run: holds something else than a run; name another run directory with --dir" "$weir" run a.yaml -- true
finish

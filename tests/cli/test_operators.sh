# weir-test: timeout=60
# Operators in shared objects: used in a recipe, documented, and refused when their record is wrong.
. "$WEIR_SOURCE/tests/cli/lib.sh"
compiler=$(command -v cc || command -v gcc) || { echo "no C compiler"; exit 77; }
build() { # NAME FLAGS...
  local name=$1
  shift
  "$compiler" -std=c17 -fPIC -shared -w "$@" -I"$WEIR_SOURCE/include" "$WEIR_SOURCE/tests/cli/operators.c" -o "$name" || fault "cannot compile $name"
}
build mine.so
for i in 0 1 2 3; do build wrong$i.so -DWRONG=$i; done
build empty.so -DNO_TABLE

"$weir" ops --load mine.so twice >text || fault "ops --load fails"
same "documentation" "twice: two times a field" "$(head -1 text)"
refused "version" "wrong0.so: made for version 2 of the operator record, this weir has version 1" "$weir" ops --load wrong0.so
refused "taken" "wrong1.so: there is an operator mean already" "$weir" ops --load wrong1.so
refused "no apply" "wrong2.so: operator nothing has no apply" "$weir" ops --load wrong2.so
refused "outside" "wrong3.so: operator outside: parameter level lies outside the 8 bytes of its parameters" "$weir" ops --load wrong3.so
refused "no table" "empty.so: has no table weir_operators, expected const weir_operator *const weir_operators[]" "$weir" ops --load empty.so

if simulation; then
  cat >a.yaml <<'END'
stream: {simulation: {}}
operators: mine.so
fields:
  double: mean(twice(temperature))
  single: mean(temperature)
outputs:
  - csv: {path: a.csv, fields: [double, single]}
END
  "$weir" run a.yaml -- "$heat" 32 32 40 10 >out.txt 2>&1 || fault "the run fails: $(cat out.txt)"
  awk -F, 'NR > 1 && ($3 - 2 * $4 > 1e-12 || $3 - 2 * $4 < -1e-12) { exit 1 } END { exit NR != 6 }' a.csv || fault "$(cat a.csv)"
fi
finish

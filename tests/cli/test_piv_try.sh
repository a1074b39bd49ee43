#!/bin/sh
# weir piv --try: one couple of a series, statistics in pixels whatever the units, one picture; and what is said of options that make no
# sense. The images are synthetic, so that what must come out is known.
. "$WEIR_SOURCE/tests/cli/lib.sh"

hint='(weir help piv)'
refused "no images" "images are missing $hint" "$weir" piv
refused "option" "unknown option --colour $hint" "$weir" piv a --colour
refused "no value" "-o: a value is missing $hint" "$weir" piv a -o
refused "window" "--window: 'x' is no number" "$weir" piv a --window 64,x
refused "dt" "--dt: 'soon' is no number" "$weir" piv a --dt soon
refused "smooth" "--smooth: 'maybe', expected no, last or all" "$weir" piv a --smooth maybe
refused "braces" "-o a{b}: braces cannot stand in the name of the results' folder" "$weir" piv a -o 'a{b}'
refused "pictures" "--pictures -1: expected a whole number from 0 to 1073741824 $hint" "$weir" piv a --pictures -1

"$weir" synth-piv -o images --size 128x192 --pairs 3 --shift 0,3.4 >/dev/null || fault "no images"
same "the recipe alone" "images.piv/piv.yaml" "$("$weir" piv images/ --write)"
same "and nothing else" "piv.yaml" "$(ls images.piv)"
"$weir" piv images --try --dt 1e-3 --pixel 5e-5 --window 48,24 -o out/try >out.txt 2>err.txt || fault "it failed: $(cat err.txt)"
grep -q '^vectors       135, valid 100.0 %$' out.txt || fault "vectors: $(head -1 out.txt)"
grep -q '^correlation   median 0.9[0-9]$' out.txt || fault "correlation: $(sed -n 2p out.txt)"
grep -q '^uncertainty   of u, mean 0.0[0-9]* pixels$' out.txt || fault "uncertainty: $(sed -n 3p out.txt)"
grep -q '^ *3\.375 to *3\.500 *1[0-9][0-9] #####' out.txt || fault "most displacements are not 3.4: $(cat out.txt)"
same "one picture" "vectors_000001.png" "$(cd out/try && echo *.png)"
same "one couple" "2" "$(wc -l <out/try/piv.csv | tr -d ' ')"
"$weir" piv images --try --start 3 -o out/third >/dev/null 2>&1 || fault "the third couple failed"
same "that of --start" "vectors_000003.png" "$(cd out/third && echo *.png)"
"$weir" piv images -o out/all --pictures 2 --window 32 >out.txt 2>err.txt || fault "the series failed: $(cat err.txt)"
same "every second picture" "vectors_000002.png" "$(cd out/all && echo *.png)"
same "three couples" "4" "$(wc -l <out/all/piv.csv | tr -d ' ')"
finish

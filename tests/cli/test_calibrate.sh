# weir calibrate: cameras from tables of points, exact output, what is written reads back, and what is refused.
. "$WEIR_SOURCE/tests/cli/lib.sh"

hint='(weir help calibrate)'
refused "no points" "points are missing $hint" "$weir" calibrate
refused "option" "unknown option --colour $hint" "$weir" calibrate a --colour
refused "model" "--model fisheye: expected polynomial or pinhole $hint" "$weir" calibrate a --model fisheye
refused "order" "--order 4: expected a whole number from 1 to 3 $hint" "$weir" calibrate a --order 4
refused "radial" "--radial 3: expected a whole number from 0 to 2 $hint" "$weir" calibrate a --radial 3
refused "z" "--z 1,x: expected numbers such as -1e-3,0,1e-3 $hint" "$weir" calibrate a --z 1,x
refused "more z" "--z has 2 numbers for 1 files $hint" "$weir" calibrate a --z 1,2
refused "no file" "nothing.csv: no such file" "$weir" calibrate nothing.csv
refused "spacing" "--spacing 0: expected metres, more than 0 $hint" "$weir" calibrate a --spacing 0
refused "start" "--start 1,2,3: expected a pixel such as 640,512 $hint" "$weir" calibrate a --spacing 1 --start 1,2,3
refused "starts" "--start has 2 pixels for 3 images $hint" "$weir" calibrate a b c --spacing 1 --start 1,2,3,4
refused "start of a table" "--start belongs to images, which --spacing says $hint" "$weir" calibrate a --start 1,2

# x = 100 + 2000 X, y = 80 - 2000 Y, but for one point
points() {
  awk -v odd="$1" 'BEGIN { print "name,X (m),Y (m),x,y"
    for (j = -2; j <= 2; j++) for (i = -2; i <= 2; i++)
      printf "dot,%.17g,%.17g,%.17g,%.17g\n", i * 0.01, j * 0.01, 100 + 20 * i + (i == 1 && j == 2 ? odd : 0), 80 - 20 * j }'
}
points 0.5 >odd.csv
same "the worst point" "24" "$("$weir" calibrate odd.csv | awk '/^worst/ { getline; print $1 }')"
points 0 >points.csv
same "report" "points      25, at one Z
model       polynomial of order 1, of X and Y alone: not for stereo
scale       0.0005 m per pixel in the middle, at x 100.0, y 80.0" "$("$weir" calibrate points.csv --order 1 -o made/camera.yaml | head -3)"
same "model" "model: polynomial" "$(grep model made/camera.yaml)"
"$weir" calibrate points.csv >/dev/null || fault "it failed"
[ -f points.yaml ] || fault "no points.yaml"
sed 1d points.csv | awk -F, '{ print $4, "\t", $5, $2, $3 "  # as a list without names" }' >bare.txt
same "tables of another kind" "$(grep -v '^#' points.yaml)" "$("$weir" calibrate bare.txt -o bare.yaml >/dev/null; grep -v '^#' bare.yaml)"
"$weir" calibrate bare.txt points.csv --z 0,0.001 -o two.yaml | grep -q '^points      50, at two Z$' || fault "two planes"

refused "few" "calibration: 4 points, expected at least 10 for a polynomial of this order (--order lowers it)" \
  sh -c "head -5 points.csv >/dev/stdout | '$weir' calibrate /dev/stdin -o x.yaml"
refused "flat" "calibration: all points lie in one plane, which does not determine a pinhole: expected the target at two or more Z (or --model polynomial)" \
  "$weir" calibrate points.csv --model pinhole
printf 'x,y,X\n1,2,3\n' >bad.csv
refused "column" "bad.csv:1: no column Y, expected x, y (pixels), X, Y and perhaps Z (m)" "$weir" calibrate bad.csv
printf 'x,y,X,Y,x\n1,2,3\n' >bad.csv
refused "twice" "bad.csv:1: column x is there twice" "$weir" calibrate bad.csv
printf 'x,y,X,Y\n1,2,3\n' >bad.csv
refused "cell" "bad.csv:2: Y is missing" "$weir" calibrate bad.csv
printf 'x,y,X,Y\n1,2,3,four\n' >bad.csv
refused "number" "bad.csv:2: Y is 'four', expected a number" "$weir" calibrate bad.csv
printf '1 2 3\n' >bad.csv
refused "numbers" "bad.csv:1: 3 numbers, expected x, y, X, Y and perhaps Z" "$weir" calibrate bad.csv
printf '' >bad.csv
refused "empty" "calibration: 0 points, expected at least 1 for a polynomial of this order (--order lowers it)" "$weir" calibrate bad.csv

# calibration files, by way of a recipe
"$weir" synth-piv -o im --size 96x128 >/dev/null && rm im/truth.csv
cat >r.yaml <<END
run: r
stream: {images: im, subset: pairs}
fields:
  flow: piv(a, b, window=32)
  real: physical(flow.u, flow.v, calibration="c.yaml")
outputs:
  - zarr: {path: r.zarr, fields: [real.u]}
END
file() { # WHAT MESSAGE TEXT
  printf "$3" >c.yaml
  "$weir" check r.yaml >out.txt 2>err.txt
  [ $? = 2 ] && grep -qF "$2" err.txt || fault "$1: $(cat err.txt)"
}
file "model" "c.yaml:1:1: model is missing, expected polynomial or pinhole" 'x: {1: 0}\n'
file "key" "unknown key" 'model: pinhole\ncolour: 1\n'
file "part" "R is missing: a pinhole has K, R and t, or matrix" 'model: pinhole\nK: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n'
file "no rotation" "c.yaml:3:4: R is no rotation" \
  'model: pinhole\nK: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\nR: [[1, 0, 0], [0, 1, 0], [0, 0, 2]]\nt: [0, 0, 1]\n'
file "no K" "K: expected [[fx, skew, cx]" \
  'model: pinhole\nK: [[1, 0, 0], [1, 1, 0], [0, 0, 1]]\nR: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\nt: [0, 0, 1]\n'
file "matrix" "matrix: expected that of a camera" 'model: pinhole\nmatrix: [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 1]]\n'
file "other model" "c.yaml:2:8: centre, scale, x and y belong to model: polynomial" 'model: pinhole\nscale: [1, 1, 1]\n'
file "term" "x: unknown term W" 'model: polynomial\nx: {W: 1}\ny: {1: 1}\n'
file "scale" "scale: expected numbers above 0" 'model: polynomial\nscale: [1, 0, 1]\nx: {X: 1}\ny: {1: 1}\n'
file "finite" "X: expected a number, got" 'model: polynomial\nx: {X: .inf}\ny: {1: 1}\n'
printf 'model: pinhole\nmatrix: [[2000, 0, 64, 32], [0, -2000, 48, 24], [0, 0, 1, 0.5]]\n' >c.yaml
"$weir" check r.yaml >out.txt 2>err.txt && fault "a camera that reflects was taken for one that does not"
printf 'model: pinhole\nmatrix: [[2000, 0, -64, 32], [0, -2000, -48, 24], [0, 0, -1, 0.5]]\n' >c.yaml
"$weir" run r.yaml >out.txt 2>err.txt || fault "a matrix: $(cat err.txt)"
finish

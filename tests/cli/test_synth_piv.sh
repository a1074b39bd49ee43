# weir synth-piv: files, exact output, the displacement in the images, and what is refused.
. "$WEIR_SOURCE/tests/cli/lib.sh"

hint='(weir help synth-piv)'
refused "field" "--field whirl: expected uniform, shear, vortex, sine or rotation $hint" "$weir" synth-piv --field whirl
refused "size" "--size 512: expected pixels such as 512x640, up to 65536 $hint" "$weir" synth-piv --size 512
refused "half a pixel" "--size 10x1.5: expected pixels such as 512x640, up to 65536 $hint" "$weir" synth-piv --size 10x1.5
refused "no pixel" "--size 0x10: expected pixels such as 512x640, up to 65536 $hint" "$weir" synth-piv --size 0x10
refused "pairs" "--pairs 0: expected a whole number from 1 to 9999 $hint" "$weir" synth-piv --pairs 0
refused "shift" "--shift 3.4: expected two numbers such as 0,3.4 $hint" "$weir" synth-piv --shift 3.4
refused "bits" "--bits 9: expected 8, 10, 12, 14 or 16 $hint" "$weir" synth-piv --bits 9
refused "format" "--format jpeg: expected tif, png or pgm $hint" "$weir" synth-piv --format jpeg
refused "sheet" "--sheet thin: expected gaussian or even $hint" "$weir" synth-piv --sheet thin
refused "loss" "--loss 2: expected a number from 0 to 1 $hint" "$weir" synth-piv --loss 2
refused "wavelength" "--wavelength 0: expected a number, more than 0 $hint" "$weir" synth-piv --wavelength 0
refused "noise" "--noise -1: expected a number, at least 0 $hint" "$weir" synth-piv --noise -1
refused "gradient" "--gradient steep: expected a number $hint" "$weir" synth-piv --gradient steep
refused "not finite" "--density nan: expected a number from 0 to 10 $hint" "$weir" synth-piv --density nan
refused "seed" "--seed -1: expected a whole number from 0 on $hint" "$weir" synth-piv --seed -1
refused "directory" "-o: expected a directory $hint" "$weir" synth-piv -o
refused "option" "unknown option --colour $hint" "$weir" synth-piv --colour
refused "argument" "unexpected here $hint" "$weir" synth-piv here
refused "diameters" "synthetic images: diameter 39 +- 5, expected 0.5 to 40 with 3 times the spread" \
  "$weir" synth-piv --diameter 39 --spread 5 -o new
: >taken
"$weir" synth-piv -o taken >out 2>&1
[ $? = 0 ] && fault "a file was taken for a directory"
rm -f taken out

"$weir" help | grep -q '  synth-piv write particle images' || fault "synth-piv is not listed"
same "help" "usage: weir synth-piv [-o DIR] [--field NAME] [--size HEIGHTxWIDTH] [--pairs N] ..." \
  "$("$weir" help synth-piv | head -1)"

same "output" "a/b: 2 pairs of 96 x 128 pixels (tif), vortex, truth.csv" \
  "$("$weir" synth-piv -o a/b --size 96x128 --pairs 2 --field vortex --radius 20 --gradient=0.1 --noise 3 --loss 0.05 --seed 7)"
same "files" "pair_0001a.tif pair_0001b.tif pair_0002a.tif pair_0002b.tif truth.csv" "$(cd a/b && echo *)"
same "truth" "name,value
field,vortex
displacement_y,shift_y + gradient * q * (x - centre_x)
displacement_x,shift_x - gradient * q * (y - centre_y)
q,(1 - exp(-s)) / s with s = ((y - centre_y)^2 + (x - centre_x)^2) / radius^2
shift_y,0
shift_x,0
gradient,0.1
radius,20
centre_y,47.5
centre_x,63.5
pairs,2
height,96
width,128
bits,8
density,0.05
diameter,2.5
diameter_spread,0
sheet,gaussian
peak,178.5
background,0
noise,3
loss,0.05
seed,7" "$(cat a/b/truth.csv)"
"$weir" synth-piv -o c --size 96x128 --pairs 1 --field vortex --radius 20 --gradient 0.1 --noise 3 --loss 0.05 --seed 7 >/dev/null
for x in a b; do
  cmp -s a/b/pair_0001$x.tif c/pair_0001$x.tif || fault "the same scene gave another image $x"
  cmp -s a/b/pair_0001$x.tif a/b/pair_0002$x.tif && fault "another pair has the same image $x"
done
for field in uniform shear sine rotation; do
  same "$field" "$field: 1 pair of 32 x 32 pixels (pgm), $field, truth.csv" \
    "$("$weir" synth-piv -o $field --field $field --size 32x32 --format pgm)"
done
same "uniform: truth" "displacement_y,shift_y displacement_x,shift_x shift_y,0 shift_x,3.4 pairs,1" \
  "$(sed -n 3,7p uniform/truth.csv | tr '\n' ' ' | sed 's/ $//')"

# Whole pixels, found again by correlation; the same pixels in every format.
for format in tif png pgm; do
  "$weir" synth-piv -o $format --format $format --size 64x96 --shift -2,5 --bits 12 --sheet even --spread 0.2 \
    --background 50 --density 0.03 --diameter 3 >/dev/null || fault "$format"
done
python=/usr/bin/python3
if "$python" -c 'import numpy, PIL' 2>/dev/null; then
  "$python" - <<'END' || fault "the images are not what was asked for"
import numpy as np
from PIL import Image
read = lambda name: np.array(Image.open(name)).astype(float)
a, b = read("tif/pair_0001a.tif"), read("tif/pair_0001b.tif")
assert a.shape == b.shape == (64, 96), a.shape
assert a.min() == b.min() == 50 and 2000 < a.max() <= 4095, (a.min(), a.max())
for which, plane in (("a", a), ("b", b)):
    for kind in ("png", "pgm"):
        assert (read(f"{kind}/pair_0001{which}.{kind}") == plane).all(), kind
f = np.fft.ifft2(np.conj(np.fft.fft2(a - a.mean())) * np.fft.fft2(b - b.mean())).real
y, x = np.unravel_index(f.argmax(), f.shape)
assert (y, x) == (62, 5), (y, x)
assert (a[2:, :-5] - b[:-2, 5:]).__abs__().max() <= 1  # light that is rounded half way may go up in one and down in the other
END
fi
finish

# weir-test: timeout=120
"""How far `weir piv` is from the truth, on pairs of `weir synth-piv` whose displacement is a formula: uniform shifts of 3.0 to 4.0 pixels
(bias, random error, what its uncertainty says, peak locking), shears up to 0.2, a Lamb-Oseen vortex and short sines, where several
passes with deformed images must beat a single one. All with the defaults; errors leave out the two outermost vectors. Prints the figures."""
import os
import tempfile

from piv_support import SANITIZED, np, piv, synth, truth

INNER = (slice(2, -2), slice(2, -2))
SIZE = 256 if SANITIZED else 448


def table(title, *names):
    print("\n" + title.ljust(26) + "".join(name.rjust(13) for name in names))


def row(name, *values):
    print(name.ljust(26) + "".join((f"{value:13.4f}" if isinstance(value, float) else str(value).rjust(13)) for value in values))


def uniform(folder):
    """Bounds of each interpolation: total error, bias of any shift. Uncertainty over random error is 0.7 to 1.4."""
    shifts = np.arange(3.0, 4.01, 0.1)
    table("uniform, 3.0 to 4.0 pixels", "bias", "random", "total", "most bias", "sigma/random", "valid")
    for diameter, noise, cubic, quintic in ((2.5, 0, (0.017, 0.022), (0.0055, 0.008)),
                                            (2.5, 5, (0.021, 0.022), (0.015, 0.008)),
                                            (1.5, 0, (0.03, 0.045), (0.023, 0.027)),
                                            (1.5, 5, (0.035, 0.045), (0.03, 0.027))):
        name = f"d{diameter}n{noise}"
        os.mkdir(os.path.join(folder, name))
        for k, shift in enumerate(shifts):
            synth(folder, "one", size=f"{SIZE}x{SIZE}", shift=f"0,{shift:.1f}", diameter=diameter, noise=noise, seed=k + 1)
            for which in "ab":
                os.replace(os.path.join(folder, "one", f"pair_0001{which}.tif"), os.path.join(folder, name, f"p{k:02}{which}.tif"))
        least = uniform_errors(folder, name, shifts, cubic)
        better = uniform_errors(folder, name, shifts, quintic, "--interpolation", "quintic")
        assert better < (0.45 if diameter == 2.5 else 0.7) * least, (name, least, better)


def uniform_errors(folder, name, shifts, bounds, *options):
    most_total, most_bias = bounds
    found = piv(folder, name, *options)
    inner = (slice(None), *INNER)
    error = found["u"][inner] - shifts[:, None, None]
    bias, random = error.mean(axis=(1, 2)), error.std(axis=(1, 2))
    across = found["v"][inner]
    total = float(np.sqrt(np.mean(bias**2) + np.mean(random**2)))
    ratio = float(np.sqrt(np.mean(found["uncertainty_u"][inner] ** 2) / np.mean(random**2)))
    row(" ".join((name, *options[1:])), float(np.sqrt(np.mean(bias**2))), float(np.sqrt(np.mean(random**2))), total,
        float(abs(bias).max()), ratio, float(np.mean(found["flag"] == 0)))
    print("    bias by shift", " ".join(f"{b:+.3f}" for b in bias))
    assert total <= most_total, (name, options, total, most_total)
    assert 0.7 <= ratio <= 1.4, (name, options, ratio)
    assert np.mean(found["flag"] == 0) > 0.995, (name, options)
    assert abs(across.mean()) < 0.002 and across.std() < 1.5 * bounds[0], (name, options, across.mean(), across.std())
    # Splines through few pixels per particle have an error of phase, in both images the opposite one as these are moved opposite
    # ways: sin(pi shift), nothing at whole pixels.
    assert abs(bias).max() <= most_bias, (name, options, bias)
    assert abs(bias[[0, -1]]).max() < 0.008, (name, options, bias)
    return float(np.sqrt(np.mean(bias**2)))


def no_locking(folder):
    """The displacements of a shear have all fractions equally often; if vectors were pulled to whole pixels, some would be rare."""
    size = 312 if SANITIZED else 568
    table("fractions in a shear", "least share", "most share", "of 1 pixel", "of 2 pixels")
    for diameter, most in ((2.5, 0.02), (1.5, 0.04)):
        # vectors are 8 pixels apart, and 0.3125 from row to row: 32 rows have 16 different fractions of 1 and 32 of 2, in equal parts
        synth(folder, "shear", field="shear", gradient=0.3125 / 8, size=f"{size}x256", diameter=diameter, seed=3)
        found = piv(folder, "shear", "--overlap", "0.5,0.5,0.75")
        rows = (found["u"].shape[1] - 4) // 32 * 32
        assert rows, found["u"].shape
        u = found["u"][0][2:2 + rows, 2:-2]
        share, _ = np.histogram(np.mod(u - 0.5 / 16, 1), bins=8, range=(0, 1))
        share = share * 8 / u.size
        harmonic = [float(abs(np.mean(np.exp(2j * np.pi * u / period)))) for period in (1, 2)]
        row(f"d = {diameter}", float(share.min()), float(share.max()), *harmonic)
        assert 0.75 < share.min() and share.max() < 1.25, (diameter, share)
        assert max(harmonic) < most, (diameter, harmonic)


def errors(folder, *options):
    """Root mean square and largest error (pixels, both components), part of valid vectors; and the vectors."""
    found = piv(folder, "images", *options)
    dy, dx = truth(os.path.join(folder, "images.csv"), found["y"], found["x"])
    error = np.hypot(found["u"][0] - dx, found["v"][0] - dy)[INNER]
    return float(np.sqrt(np.mean(error**2))), float(error.max()), float(np.mean(found["flag"][0][INNER] == 0)), found, (dy, dx)


def gradients(folder):
    """Bounds: error of the defaults and of a fourth pass; `gain`, how much smaller than that of a single pass the error of the default
    is at least. The first pass hardly follows a shear of 0.2 with windows of 64 pixels: 32 as well, in all passes."""
    table("gradients, pixels/pixel", "default", "most", "valid", "4 passes", "single 32")
    for field, most, most4, gain, valid, options in (
        ("shear", 0.03, 0.015, 3, 0.99, dict(gradient=0.05, size="192x384")),
        ("shear", 0.06, 0.025, 4, 0.98, dict(gradient=0.1, size="192x384")),
        ("shear 64", 0.16, 0.06, 5, 0.97, dict(gradient=0.2, size="160x384")),  # too much for the first windows: the next look further
        ("shear 32", 0.13, 0.05, 5, 0.97, dict(gradient=0.2, size="160x384")),
        ("vortex", 0.03, 0.02, 2, 0.99, dict(gradient=0.1, radius=48, size="320x320")),
        ("vortex", 0.03, 0.02, 1.7, 0.99, dict(gradient=0.05, radius=24, size="320x320")),
        ("sine", 0.04, 0.02, 2.5, 0.98, dict(gradient=0.05, wavelength=128, size="320x320")),
        ("sine", 0.05, 0.03, 1.5, 0.95, dict(gradient=0.05, wavelength=96, size="320x320")),
        ("rotation", 0.03, 0.02, 3, 0.99, dict(gradient=0.05, size="256x256")),
    ):
        name, _, first = field.partition(" ")
        first = first or "64"
        synth(folder, "images", field=name, seed=5, **options)
        rms, largest, good, found, (dy, dx) = errors(folder, "--window", f"{first},32,32")
        four = errors(folder, "--window", f"{first},32,32,32")[0]
        single = errors(folder, "--window", "32")[0]
        size = options.get("wavelength") or options.get("radius") or ""
        row(f"{name} {options['gradient']} {size}", rms, largest, good, four, single)
        assert rms < most and four < most4, (field, options, rms, four)
        assert single > gain * rms, (field, options, single, rms)
        assert good >= valid, (field, options, good)
        for got, true in ((found["u"][0], dx), (found["v"][0], dy)):
            if true.std() > 0.1:
                part = float(np.sum(got[INNER] * true[INNER]) / np.sum(true[INNER] ** 2))
                assert 0.93 < part < 1.06, (field, options, part)


for test in (uniform, no_locking, gradients):
    with tempfile.TemporaryDirectory() as folder:
        test(folder)

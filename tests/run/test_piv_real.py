# weir-test: timeout=120
"""`weir piv` with its defaults on images of three experiments (a wake, two vortices, a jet): nearly all vectors are valid, correlation and
uncertainty are those of good images, the flow has the features that it must have, and its coarse statistics are those of the reference."""
import os
import sys
import tempfile

from piv_support import np, piv

DATA = os.path.join(os.environ.get("WEIR_DATA", ""), "piv")
if not all(os.path.isdir(os.path.join(DATA, name)) for name in ("karman", "oseen", "jet")):
    print("skipped: no karman, oseen and jet in", DATA)
    sys.exit(77)

# Of the first couple, pixels: mean, standard deviation, least, largest; means over 4 x 4 parts. From these images, by this program.
REFERENCE = {
    "karman": {"u": ([-1.464, 0.640, -2.414, 0.877], [[-2.023, -2.071, -1.680, -1.602], [-1.052, -0.382, -0.995, -1.407],
                                                     [-0.845, -1.195, -1.417, -1.470], [-1.848, -1.939, -1.777, -1.594]]),
               "v": ([0.024, 0.248, -1.155, 1.037], [[0.171, -0.077, -0.205, -0.109], [0.308, -0.110, -0.355, -0.064],
                                                    [-0.164, 0.085, 0.469, 0.134], [-0.057, 0.063, 0.205, 0.129]])},
    "oseen": {"u": ([0.003, 1.601, -3.254, 3.336], [[-1.870, -0.694, 0.680, 1.864], [-2.369, -0.658, 0.620, 2.379],
                                                   [1.585, 0.385, -0.365, -1.584], [2.260, 0.752, -0.702, -2.232]]),
              "v": ([-1.829, 1.425, -4.263, 2.549], [[-0.778, -2.013, -2.054, -0.794], [-1.004, -3.159, -3.130, -1.046],
                                                    [-1.190, -3.441, -3.428, -1.257], [-0.920, -2.367, -2.346, -0.924]])},
    "jet": {"u": ([0.004, 0.102, -0.381, 0.553], [[-0.012, 0.035, 0.100, -0.010], [-0.002, 0.012, 0.097, -0.004],
                                                 [0.016, 0.058, 0.080, 0.062], [-0.014, -0.056, -0.172, -0.006]]),
            "v": ([-0.405, 0.396, -1.396, 0.211], [[-0.015, -0.524, -0.979, -0.457], [-0.014, -0.488, -0.969, -0.275],
                                                  [-0.002, -0.343, -0.918, -0.455], [-0.013, -0.352, -0.959, -0.400]])}}


def coarse(field):
    rows, columns = field.shape[0] // 4, field.shape[1] // 4
    return field[: 4 * rows, : 4 * columns].reshape(4, rows, 4, columns).mean(axis=(1, 3))


def vorticity(found):
    spacing = found["x"][1] - found["x"][0]
    return np.gradient(found["v"].mean(axis=0), spacing, axis=1) - np.gradient(found["u"].mean(axis=0), spacing, axis=0)


def karman(found):
    """The flow goes to the left; behind the body (x < 200) it lacks speed in the middle and none outside."""
    behind = found["u"].mean(axis=0)[:, found["x"] < 200].mean(axis=1)
    y = found["y"]
    outside, middle = behind[(y < 100) | (y > 300)], behind[(y > 150) & (y < 230)]
    assert (outside < -1.7).all() and (middle > -1).all(), behind
    assert 150 < y[behind.argmax()] < 230 and behind.max() > -0.2, behind
    shear = vorticity(found)[:, found["x"] < 200].mean(axis=1)  # a layer of either sign above and below
    assert shear[(y > 100) & (y < 160)].mean() < -0.01 and shear[(y > 210) & (y < 270)].mean() > 0.01, shear


def oseen(found):
    """Two vortices, of opposite sign, equally strong: what is above half of the largest vorticity hangs together around either."""
    w = vorticity(found)
    y, x = np.meshgrid(found["y"], found["x"], indexing="ij")
    for sign, middle in ((-1, 48), (1, 352)):
        strong = sign * w > 0.5 * abs(w).max()
        assert strong.sum() >= 6 and np.hypot(x - middle, y - 148)[strong].max() < 50, (sign, np.argwhere(strong))
        centre = [np.average(axis[strong], weights=abs(w[strong])) for axis in (y, x)]
        assert np.hypot(centre[0] - 148, centre[1] - middle) < 12, (sign, centre)
    assert abs(w.max() + w.min()) < 0.1 * w.max(), (w.min(), w.max())


def jet(found):
    """It goes upwards, fastest in the middle; the fluid beside it is at rest, and in between the speed falls on either side."""
    profile = -found["v"].mean(axis=(0, 1))
    profile = np.convolve(profile, np.ones(5) / 5, "valid")
    top = int(profile.argmax())
    assert profile.max() > 0.9 and profile[0] < 0.05 and profile[-1] < 0.1, profile
    assert 0.35 < top / len(profile) < 0.75, profile
    assert (np.diff(profile[: top + 1]) > -0.04).all() and (np.diff(profile[top:]) < 0.04).all(), profile


# name, what it shows, least median correlation, largest median uncertainty
for name, shows, correlation, sigma in (("karman", karman, 0.75, 0.1), ("oseen", oseen, 0.75, 0.1), ("jet", jet, 0.8, 0.06)):
    with tempfile.TemporaryDirectory() as folder:
        found = piv(folder, os.path.join(DATA, name))
    valid = np.mean(found["flag"] == 0, axis=(1, 2))
    median = float(np.nanmedian(found["correlation"]))
    sigmas = [float(np.nanmedian(found["uncertainty_" + c])) for c in "uv"]
    print(f"{name:8} valid {' '.join(f'{v:.4f}' for v in valid)}  correlation {median:.3f}  uncertainty {sigmas[0]:.3f} {sigmas[1]:.3f}")
    assert valid.mean() >= 0.97 and valid.min() >= 0.96, valid
    assert median >= correlation and all(0.005 < s < sigma for s in sigmas), (median, sigmas)
    for component, (numbers, parts) in REFERENCE[name].items():
        field = found[component][0]
        got = [field.mean(), field.std(), field.min(), field.max()]
        assert np.allclose(got[:2], numbers[:2], atol=0.03), (name, component, got, numbers)
        assert np.allclose(got[2:], numbers[2:], atol=0.4), (name, component, got, numbers)
        assert np.allclose(coarse(field), parts, atol=0.08), (name, component, coarse(field) - parts)
    shows(found)

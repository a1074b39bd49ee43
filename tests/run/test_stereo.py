# weir-test: timeout=150
"""From images of particles to velocities in metres per second: three components from two cameras at 35 degrees to either side (two streams
of images joined by step), two from one camera on its vectors (physical) and on images taken straight (dewarp). The cameras are numpy's, the
calibrations weir's own, from tables of a target; the truth is the motion the particles were given. Also: the same bytes on any number of
threads and workers, and what is refused."""
import os
import shutil
import tempfile

import piv_support as support
from camera_support import Camera, render, target
from piv_support import Image, digest, np, store, success, weir

DT = 1e-3
VIEWS = {"left": Camera(-35, 2, radial=(0.2, -1.0)), "right": Camera(35, -1, radial=(-0.1, 0.5))}
SHEET = 1e-3  # m, of light


def motion(at):
    """Displacement (m) of what is at `at` in the middle between both images: swirl, shear and a component out of the plane."""
    x, y = at[:, 0], at[:, 1]
    return np.stack([4e-4 - 1.2e-2 * y, 1.2e-2 * x - 1e-4, 2e-4 + 6e-3 * x - 4e-3 * y], -1)


def particles(count, half=(0.045, 0.05), seed=4):
    """Before and behind the motion."""
    random = np.random.default_rng(seed)
    middle = (random.random((count, 3)) - 0.5) * [2 * half[1], 2 * half[0], SHEET]
    return middle - motion(middle) / 2, middle + motion(middle) / 2


def write_images(folder, views, pairs=2):
    for name, camera in views.items():
        os.mkdir(os.path.join(folder, name))
        target(os.path.join(folder, name + ".csv"), camera, [-1e-3, 0, 1e-3])
    for k in range(pairs):
        for letter, where in zip("ab", particles(14000, seed=k)):
            for name, camera in views.items():
                Image.fromarray(render(camera, where)).save(os.path.join(folder, name, f"im_{k}{letter}.tif"))


def run_recipe(folder, text, *arguments, status=0):
    with open(os.path.join(folder, "t.yaml"), "w") as file:
        file.write(text)
    for name in ("t.run", "t.zarr"):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    done = weir(folder, "run", "t.yaml", "--dir", "t.run", *arguments)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return store(os.path.join(folder, "t.zarr")) if not status else done


STEREO = """run: t
streams:
  left: {images: left, subset: pairs}
  right: {images: right, subset: pairs, join: {step: exact}}
fields:
  flow_left: piv(left.a, left.b, window=[32, 24])
  flow_right: piv(right.a, right.b, window=[32, 24])
  flow: stereo(flow_left.u, flow_left.v, flow_right.u, flow_right.v, left="left.yaml", right="right.yaml", dt=1e-3)
outputs:
  - zarr: {path: t.zarr, fields: [flow.u, flow.v, flow.w, flow.residual]}
"""


def errors(got, names):
    """Per component, of the inner grid, m/s: root mean square of measured less true, and the largest mean over steps."""
    y, x = np.meshgrid(got["y"], got["x"], indexing="ij")
    truth = motion(np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], -1)).reshape(*x.shape, 3) / DT
    off = np.stack([got[name] - truth[..., k] for k, name in enumerate(names)], -1)
    valid = np.isfinite(off).all(-1)
    assert valid.mean() > 0.7, valid.mean()
    return np.sqrt((off[valid] ** 2).mean(0)), off[valid].mean(0)


def stereo(folder, model):
    for name in VIEWS:
        success(folder, "calibrate", name + ".csv", "-o", name + ".yaml", "--model", model)
    got = run_recipe(folder, STEREO)
    rms, mean = errors(got, ["flow.u", "flow.v", "flow.w"])
    pixel = 0.5 / 2200 / DT  # m/s that a pixel is, about
    residual = got["flow.residual"]
    noise = np.sqrt(np.nanmean(residual**2))
    print(f"stereo, {model}: rms of u, v, w {rms / pixel} pixels, mean {mean / pixel}, residual {noise:.3f} pixels, {residual.shape}")
    assert (rms / pixel < [0.1, 0.1, 0.15]).all() and (abs(mean / pixel) < 0.03).all(), (model, rms / pixel, mean / pixel)
    assert 0.005 < noise < 0.12, noise
    return digest(os.path.join(folder, "t.zarr"))


def same_bytes(folder, first):
    settings = [("--threads", 0), ("--threads", 3)] + ([("--workers", 2), ("--workers", 3, "--threads", 2)] if support.has_mpi() else [])
    for setting in settings:
        run_recipe(folder, STEREO, *map(str, setting))
        got = digest(os.path.join(folder, "t.zarr"))
        assert got == first, (setting, [name for name in first if got.get(name) != first[name]])


PLANE = """run: t
stream: {images: left, subset: pairs}
fields:
  flow: piv(a, b, window=[32, 24])
  real: physical(flow.u, flow.v, calibration="left.yaml", dt=1e-3)
  quality: dewarp(flow.correlation, calibration="left.yaml")
  straight_a: dewarp(a, calibration="left.yaml", x_limits=[-0.03, 0.03], y_limits=[-0.025, 0.025])
  straight_b: dewarp(b, calibration="left.yaml", x_limits=[-0.03, 0.03], y_limits=[-0.025, 0.025])
  seen: piv(straight_a, straight_b, window=[32, 24], dt=1e-3)
outputs:
  - zarr: {path: t.zarr, fields: [real.u, real.v, quality]}
  - zarr: {path: seen.zarr, fields: [seen.u, seen.v]}
"""


def flat(at):
    move = motion(at)
    move[:, 2] = 0
    return move


def plane(folder):
    """One camera from the side; everything happens in the plane Z = 0."""
    camera = Camera(-25, 4, radial=(0.3, 0))
    os.mkdir(os.path.join(folder, "left"))
    target(os.path.join(folder, "left.csv"), camera, [0], dots=(19, 23), noise=0.02)
    done = success(folder, "calibrate", "left.csv")
    assert "of X and Y alone: not for stereo" in done.stdout, done.stdout
    random = np.random.default_rng(6)
    for k in range(2):
        middle = (random.random((16000, 3)) - 0.5) * [0.1, 0.09, 0]
        for letter, sign in (("a", -0.5), ("b", 0.5)):
            Image.fromarray(render(camera, middle + sign * flat(middle))).save(os.path.join(folder, "left", f"im_{k}{letter}.tif"))
    got = run_recipe(folder, PLANE)
    assert (np.nanmedian(got["quality"]) > 0.9) and got["quality"].shape == got["real.u"].shape
    pixel = 0.5 / 2200 / DT
    for what, found, names in (("physical", got, ["real.u", "real.v"]), ("dewarp", store(os.path.join(folder, "seen.zarr")), ["seen.u", "seen.v"])):
        rms, mean = errors(found, names)
        print(f"{what}: rms of u, v {rms / pixel} pixels, mean {mean / pixel}, {found[names[0]].shape}")
        assert (rms / pixel < 0.08).all() and (abs(mean / pixel) < 0.03).all(), (what, rms / pixel, mean / pixel)


def refused(folder):
    def says(text, call, stream="images: left, subset: pairs"):
        with open(os.path.join(folder, "t.yaml"), "w") as file:
            file.write(f"run: t\nstream: {{{stream}}}\nfields:\n  flow: piv(a, b)\n  moved: piv(a, b, dt=1)\n  x1: {call}\noutputs:\n  - zarr: {{path: t.zarr, fields: [x1.u]}}\n")
        done = weir(folder, "check", "t.yaml")
        assert done.returncode == 2 and text in done.stderr, (text, done.returncode, done.stderr)

    says("nothing.yaml", 'physical(flow.u, flow.v, calibration="nothing.yaml")')
    says("calibration", "physical(flow.u, flow.v)")
    says("give dt to this operator instead of to piv", 'physical(moved.u, moved.v, calibration="left.yaml")')
    says("leave pixel: out of the stream", 'physical(flow.u, flow.v, calibration="left.yaml")', "images: left, subset: pairs, pixel: 1e-4")
    says("leave up: out of the stream", 'physical(flow.u, flow.v, calibration="left.yaml")', "images: left, subset: pairs, up: yes")
    says("knows nothing of Z", 'stereo(flow.u, flow.v, flow.u, flow.v, left="left.yaml", right="left.yaml")')
    says("x_limits: expected two numbers in increasing order", 'physical(flow.u, flow.v, calibration="left.yaml", x_limits=[1, 0])')
    says("expected 1 to 100000", 'physical(flow.u, flow.v, calibration="left.yaml", spacing=1e-9)')
    shutil.copy(os.path.join(folder, "..", "deep.yaml"), os.path.join(folder, "deep.yaml"))
    says("look from the same direction", 'stereo(flow.u, flow.v, flow.u, flow.v, left="deep.yaml", right="deep.yaml")')
    says("see nothing of the plane", 'physical(flow.u, flow.v, calibration="deep.yaml", z=10)')


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as top:
        both, one = os.path.join(top, "both"), os.path.join(top, "one")
        os.mkdir(both), os.mkdir(one)
        write_images(both, VIEWS)
        stereo(both, "polynomial")
        same_bytes(both, stereo(both, "pinhole"))
        shutil.copy(os.path.join(both, "left.yaml"), os.path.join(top, "deep.yaml"))
        plane(one)
        refused(one)

# weir-test: timeout=60
"""Cameras from images of a target: dots rendered through a camera that is known, from the side, with distortion and noise, dark or bright,
of 8 or 16 bits; dots that lack, spots that are none. What is fitted sees the world as the camera does."""
import os
import tempfile

from camera_support import Camera
from piv_support import Image, np, success, weir

SPACING, RADIUS, OVER = 3e-3, 0.75e-3, 4  # m; parts of a pixel along each axis


def picture(camera, z, dark=True, noise=2.0, lacks=(), spots=(), bits=8, seed=1):
    """A target at Z = z: each part of a pixel lies in a dot or not, by the ray through it (found by iteration)."""
    height, width = camera.size
    fine = [(np.arange(n * OVER) + 0.5) / OVER - 0.5 for n in (height, width)]
    y, x = np.meshgrid(*fine, indexing="ij")
    want = np.stack([x, y], -1)
    world = np.zeros(want.shape[:-1] + (3,))
    world[..., 2] = z
    for _ in range(4):  # Newton, slopes by differences
        seen, h = camera(world), 1e-6
        (a, c), (b, d) = (np.moveaxis((camera(world + np.eye(3)[k] * h) - seen) / h, -1, 0) for k in (0, 1))
        off_x, off_y = np.moveaxis(want - seen, -1, 0)
        world[..., :2] += np.stack([d * off_x - b * off_y, a * off_y - c * off_x], -1) / (a * d - b * c)[..., None]
    index = np.round(world[..., :2] / SPACING)
    inside = np.hypot(*np.moveaxis(world[..., :2] - index * SPACING, -1, 0)) < RADIUS
    for i, j in lacks:
        inside &= ~((index[..., 0] == i) & (index[..., 1] == j))
    for i, j, radius in spots:
        inside |= np.hypot(world[..., 0] - i * SPACING, world[..., 1] - j * SPACING) < radius
    cover = inside.reshape(height, OVER, width, OVER).mean((1, 3))
    shown = (200 - 150 * cover if dark else 40 + 160 * cover) * (1 + 0.1 * x[::OVER, ::OVER] / width)
    shown = (shown + noise * np.random.default_rng(seed).standard_normal(shown.shape)) * 2 ** (bits - 8)
    return np.clip(np.round(shown), 0, 2**bits - 1).astype(np.uint8 if bits == 8 else np.uint16)


def numbers(text):
    return np.array([float(word) for word in text.replace("[", " ").replace("]", " ").replace(",", " ").split()])


def read_pinhole(path):
    """The camera that a calibration file describes, as a function, by numpy alone."""
    with open(path) as file:
        text = "".join(line for line in file if not line.startswith("#"))
    k, rest = text.split("K:")[1].split("R:")
    r, rest = rest.split("t:")
    t, rest = rest.split("radial:")
    k, r, t, radial = numbers(k).reshape(3, 3), numbers(r).reshape(3, 3), numbers(t), numbers(rest.split("points:")[0])

    def see(world):
        at = np.asarray(world) @ r.T + t
        at = at[..., :2] / at[..., 2:]
        square = (at**2).sum(-1, keepdims=True)
        at = at * (1 + square * (radial[0] + square * radial[1]))
        return at @ k[:2, :2].T + k[:2, 2]

    return see


def residual(output):
    words = next(line for line in output.splitlines() if line.startswith("residual")).split()
    return float(words[2]), int(output.split()[1].strip(","))


def main(folder):
    camera = Camera(-25, 3, focal=1800.0, size=(160, 200), radial=(0.4, 0))
    planes = [-2e-3, 0, 2e-3]
    starts = []
    for k, z in enumerate(planes):
        Image.fromarray(picture(camera, z, seed=k)).save(os.path.join(folder, f"z{k}.png"))
        starts += list(camera([0, 0, z]) + [3, -2])
    start = ",".join(f"{x:.2f}" for x in starts)
    names = [f"z{k}.png" for k in range(3)]
    done = success(folder, "calibrate", *names, "--spacing", SPACING, "--z", "-2e-3,0,2e-3", "--start", start, "--model", "pinhole", "-o", "c.yaml")
    print(done.stdout)
    rms, count = residual(done.stdout)
    assert count > 350 and rms < 0.06, (count, rms)
    y, x, z = np.meshgrid(np.linspace(-0.02, 0.02, 9), np.linspace(-0.02, 0.02, 9), planes, indexing="ij")
    world = np.stack([x, y, z], -1)
    off = np.abs(read_pinhole(os.path.join(folder, "c.yaml"))(world) - camera(world)).max()
    assert off < 0.05, off  # an ellipse's centre is not the image of the circle's: about 0.01
    # bright dots, 16 bits, a dot that lacks, a speck and a blot
    image = picture(camera, 0, dark=False, lacks=[(1, 1), (-2, 0)], spots=[(2.5, 2.5, 2e-4), (-3.5, -2.5, 2.6e-3)], bits=16)
    Image.fromarray(image).save(os.path.join(folder, "odd.png"))
    done = success(folder, "calibrate", "odd.png", "--spacing", SPACING)
    rms, count = residual(done.stdout)
    assert rms < 0.08 and count > 80, done.stdout
    # no target
    for name, image, text in (("flat", np.full((50, 60), 7, np.uint8), "all pixels are alike"),
                              ("noise", np.random.default_rng(1).integers(0, 255, (50, 60)).astype(np.uint8), ""),
                              ("one", np.pad(np.full((5, 5), 200, np.uint8), 20), "1 dots were found")):
        Image.fromarray(image).save(os.path.join(folder, name + ".png"))
        done = weir(folder, "calibrate", name + ".png", "--spacing", SPACING)
        assert (done.returncode == 2 and text in done.stderr) or (not text and "off x" in done.stdout), (name, done)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as top:
        main(top)

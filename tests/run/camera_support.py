"""A pinhole camera of its own, written with numpy, for the tests of calibration and stereo."""
from piv_support import np


class Camera:
    """Looks at the origin from `angle` (degrees) to the side of the Z axis and `tilt` above; X to the right, Y up, Z to the viewer."""

    def __init__(self, angle=0.0, tilt=0.0, focal=2200.0, size=(256, 320), distance=0.5, radial=(0.0, 0.0)):
        a, t = np.radians(angle), np.radians(tilt)
        back = np.array([np.sin(a) * np.cos(t), np.sin(t), np.cos(a) * np.cos(t)])
        right = np.cross([0, 1, 0], back)
        right /= np.linalg.norm(right)
        self.rotation = np.array([right, -np.cross(back, right), -back])
        self.position = np.array([0, 0, distance])
        self.focal, self.size, self.radial = focal, size, radial

    def __call__(self, world):
        """Image positions [..., (x, y)] of world positions [..., (X, Y, Z)]."""
        at = np.asarray(world, float) @ self.rotation.T + self.position
        at = at[..., :2] / at[..., 2:]
        square = (at**2).sum(-1, keepdims=True)
        return at * (1 + square * (self.radial[0] + square * self.radial[1])) * self.focal + (np.array(self.size[::-1]) - 1) / 2


def target(path, camera, planes, spacing=4e-3, dots=(9, 11), noise=0.0, seed=1):
    """A table of the dots of a regular target at each Z of `planes`."""
    y, x = ((np.arange(n) - n // 2) * spacing for n in dots)
    world = np.stack(np.meshgrid(x, y, planes, indexing="ij"), -1).reshape(-1, 3)
    image = camera(world) + noise * np.random.default_rng(seed).standard_normal((len(world), 2))
    np.savetxt(path, np.hstack([image, world]), delimiter=",", header="x,y,X (m),Y (m),Z (m)", comments="", fmt="%.17g")


def render(camera, particles, diameter=2.5, peak=160.0):
    """Particles (world positions) as an image of 8 bits; `diameter` to 1/e^2 of the peak, pixels integrated at their centre."""
    image, reach = np.zeros(camera.size), 4
    at = camera(particles)
    near = np.round(at).astype(int)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            x, y = near[:, 0] + dx, near[:, 1] + dy
            inside = (x >= 0) & (y >= 0) & (x < camera.size[1]) & (y < camera.size[0])
            square = (x - at[:, 0]) ** 2 + (y - at[:, 1]) ** 2
            np.add.at(image, (y[inside], x[inside]), peak * np.exp(-8 * square[inside] / diameter**2))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)

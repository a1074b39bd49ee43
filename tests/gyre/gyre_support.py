"""What the tests of the gyre share: running it, reading its restart files, and the model once more in numpy."""
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np

BUILD = os.environ.get("WEIR_BUILD", "")
SOURCE = os.environ.get("WEIR_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PROGRAM = os.path.join(BUILD, "apps", "gyre", "gyre")
HEADER = "<8sqqqq6dq"


def require_program():
    """Skip where Fortran was switched off."""
    if not os.path.exists(PROGRAM):
        print(f"{PROGRAM} was not built (WEIR_FORTRAN off?): skipped")
        sys.exit(77)


def namelist_text(value):
    if isinstance(value, bool):
        return ".true." if value else ".false."
    return f"'{value}'" if isinstance(value, str) else repr(value)


def run(folder, processes=1, expect=0, name="gyre.nml", arguments=None, keep_run=False, **settings):
    """Run in `folder` with a namelist made of `settings`; returns stdout and stderr.
    `expect`: the exit status, None for any; `keep_run`: leave WEIR_RUN in the environment."""
    if settings:
        with open(os.path.join(folder, name), "w") as file:
            quoted = {k: namelist_text(v) for k, v in settings.items()}
            file.write("&gyre\n" + "".join(f"  {k} = {v}\n" for k, v in quoted.items()) + "/\n")
    command = [PROGRAM] + ([name] if arguments is None else arguments)
    if processes > 1:
        command = [os.path.join(SOURCE, "tests", "mpirun.sh"), str(processes)] + command
    environment = {k: v for k, v in os.environ.items() if keep_run or k != "WEIR_RUN"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    if expect is not None and done.returncode != expect:
        sys.exit(f"{command} {settings}: status {done.returncode}, not {expect}\n{done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def read_restart(path):
    """Header as a dict; u, v, eta as arrays [y, x]."""
    with open(path, "rb") as file:
        raw = file.read()
    size = struct.calcsize(HEADER)
    names = "magic order nx ny step dt lx ly depth mean_eta0 wind checksum".split()
    head = dict(zip(names, struct.unpack(HEADER, raw[:size])))
    fields = np.frombuffer(raw[size:], "<f8").reshape(3, head["ny"], head["nx"])
    return head, fields[0], fields[1], fields[2]


def read_budget(path):
    """Columns by name."""
    with open(path) as file:
        names = file.readline().strip().split(",")
        rows = np.array([[float(x) for x in line.split(",")] for line in file])
    return dict(zip(names, rows.T))


def folder():
    """A temporary folder that goes with the test."""
    return tempfile.TemporaryDirectory(prefix="weir-gyre-")


# ---- Arakawa & Lamb (1981), section 3, on arrays whose element [b, a] is q(a, b): written as in the paper, with their
# indices (u at (a, b + 1/2), v at (a + 1/2, b)), not as in the program.


def lamb_tendencies(q, us, vs, shift):
    """Vorticity terms of du/dt, dv/dt; `shift(x, da, db)` gives x at (a + da, b + db)."""
    def c(*terms):
        return sum(w * shift(q, da, db) for w, da, db in terms) / 24
    alpha = c((2, 1, 1), (1, 0, 1), (2, 0, 0), (1, 1, 0))
    beta = c((1, 0, 1), (2, -1, 1), (1, -1, 0), (2, 0, 0))
    gamma = c((2, 0, 1), (1, -1, 1), (2, -1, 0), (1, 0, 0))
    delta = c((1, 1, 1), (2, 0, 1), (1, 0, 0), (2, 1, 0))
    epsilon = c((1, 1, 1), (1, 0, 1), (-1, 0, 0), (-1, 1, 0))
    phi = c((-1, 1, 1), (1, 0, 1), (1, 0, 0), (-1, 1, 0))
    du = (alpha * shift(vs, 0, 1) + beta * shift(vs, -1, 1) + gamma * shift(vs, -1, 0) + delta * vs
          - epsilon * shift(us, 1, 0) + shift(epsilon, -1, 0) * shift(us, -1, 0))
    dv = -(shift(gamma, 1, 0) * shift(us, 1, 0) + delta * us + shift(alpha, 0, -1) * shift(us, 0, -1)
           + shift(beta, 1, -1) * shift(us, 1, -1) + phi * shift(vs, 0, 1) - shift(phi, 0, -1) * shift(vs, 0, -1))
    return du, dv


class Reference:
    """The same equations on one array, walls by padding, both walls stored: slow, and put together otherwise."""

    def __init__(self, nx, ny, lx, ly, depth=500.0, tau0=0.12, cd=1e-5, nu=540.0, dt=100.0):
        self.dx, self.dy, self.depth, self.cd, self.dt = lx / nx, ly / ny, depth, cd, dt
        self.nu = nu * self.dx * self.dy
        omega, latitude = 2 * np.pi / 86400, np.deg2rad(35.0)
        corner = np.arange(ny + 1) * self.dy - ly / 2
        f = 2 * omega * np.sin(latitude) + 2 * omega * np.cos(latitude) / 6.371e6 * corner
        self.f = np.tile(f[:, None], (1, nx + 1))
        s = ((np.arange(ny) + 0.5) * self.dy - ly / 2) / ly
        self.tau = (tau0 * (np.cos(2 * np.pi * s) + 2 * np.sin(np.pi * s)) / 1000)[:, None]

    # u is [ny, nx + 1] and v [ny + 1, nx] with both walls, corners are [ny + 1, nx + 1]
    def shear(self, u, v):
        up = np.pad(u, ((1, 1), (0, 0)))
        up[0], up[-1] = -u[0], -u[-1]
        vp = np.pad(v, ((0, 0), (1, 1)))
        vp[:, 0], vp[:, -1] = -v[:, 0], -v[:, -1]
        return np.diff(vp, axis=1) / self.dx, np.diff(up, axis=0) / self.dy

    def friction(self, u, v, h, hu, hv, hq):
        vx, uy = self.shear(u, v)
        normal = h * (np.diff(u, axis=1) / self.dx - np.diff(v, axis=0) / self.dy)
        shear = hq * (vx + uy)
        lu, lv = np.zeros_like(u), np.zeros_like(v)
        lu[:, 1:-1] = (np.diff(normal, axis=1) / self.dx + np.diff(shear[:, 1:-1], axis=0) / self.dy) / hu[:, 1:-1]
        lv[1:-1] = (np.diff(shear[1:-1], axis=1) / self.dx - np.diff(normal, axis=0) / self.dy) / hv[1:-1]
        return lu, lv

    def tendencies(self, u, v, eta):
        h = self.depth + eta
        hp = np.pad(h, 1, mode="edge")
        hu, hv = (hp[1:-1, :-1] + hp[1:-1, 1:]) / 2, (hp[:-1, 1:-1] + hp[1:, 1:-1]) / 2
        hq = (hp[:-1, :-1] + hp[:-1, 1:] + hp[1:, :-1] + hp[1:, 1:]) / 4
        vx, uy = self.shear(u, v)
        q = (self.f + vx - uy) / hq
        k = ((u[:, 1:]**2 + u[:, :-1]**2) + (v[1:]**2 + v[:-1]**2)) / 4
        # one frame [ny + 3, nx + 3] for all, with a margin of zeros: (a, b) is element [b + 1, a + 1]
        shape = (eta.shape[0] + 3, eta.shape[1] + 3)
        frame = [np.zeros(shape) for _ in range(3)]
        for target, source in zip(frame, (q, hu * u, hv * v)):
            target[1:1 + source.shape[0], 1:1 + source.shape[1]] = source
        du, dv = lamb_tendencies(*frame, lambda x, da, db: np.roll(x, (-db, -da), (0, 1)))
        du, dv = du[1:1 + u.shape[0], 1:1 + u.shape[1]].copy(), dv[1:1 + v.shape[0], 1:1 + v.shape[1]].copy()
        head, speed = 9.81 * eta + k, np.sqrt(2 * k)
        lu, lv = self.friction(u, v, h, hu, hv, hq)
        bu, bv = self.friction(lu, lv, h, hu, hv, hq)
        du[:, 1:-1] += (-np.diff(head, axis=1) / self.dx + self.tau / hu[:, 1:-1]
                        - self.cd * (speed[:, 1:] + speed[:, :-1]) / 2 * u[:, 1:-1] / hu[:, 1:-1])
        dv[1:-1] += -np.diff(head, axis=0) / self.dy - self.cd * (speed[1:] + speed[:-1]) / 2 * v[1:-1] / hv[1:-1]
        du, dv = du - self.nu * bu, dv - self.nu * bv
        du[:, [0, -1]] = 0
        dv[[0, -1]] = 0
        return du, dv, -(np.diff(hu * u, axis=1) / self.dx + np.diff(hv * v, axis=0) / self.dy)

    def run(self, u, v, eta, steps):
        """States as in the restart files: u and v without the western and southern walls."""
        s = [np.pad(u, ((0, 0), (1, 0))), np.pad(v, ((1, 0), (0, 0))), eta.copy()]
        for _ in range(steps):
            k1 = self.tendencies(*s)
            k2 = self.tendencies(*[x + self.dt / 2 * k for x, k in zip(s, k1)])
            k3 = self.tendencies(*[x + self.dt / 2 * k for x, k in zip(s, k2)])
            k4 = self.tendencies(*[x + self.dt * k for x, k in zip(s, k3)])
            s = [x + self.dt / 6 * (a + 2 * b + 2 * c + d) for x, a, b, c, d in zip(s, k1, k2, k3, k4)]
        return s[0][:, 1:], s[1][1:], s[2]

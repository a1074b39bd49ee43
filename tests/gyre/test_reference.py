# The program against an independent numpy version of the equations, and that version against what the scheme promises.
# weir-test: timeout=60
import numpy as np

import gyre_support as gyre


def random_enstrophy_change():
    """On a doubly periodic plane the scheme keeps potential enstrophy sum h_q q^2 / 2: the relative rate of change."""
    random = np.random.default_rng(7)
    n = 24
    shift = lambda x, da, db: np.roll(x, (-db, -da), (0, 1))  # noqa: E731
    us, vs, f = random.standard_normal((3, n, n))
    h = 5 + random.random((n, n))  # at (a + 1/2, b + 1/2)
    hq = (h + shift(h, -1, 0) + shift(h, 0, -1) + shift(h, -1, -1)) / 4
    u = us / ((h + shift(h, -1, 0)) / 2)
    v = vs / ((h + shift(h, 0, -1)) / 2)
    q = (f + v - shift(v, -1, 0) - u + shift(u, 0, -1)) / hq
    du, dv = gyre.lamb_tendencies(q, us, vs, shift)
    energy = np.sum(us * du + vs * dv) / np.sum(np.abs(us * du) + np.abs(vs * dv))
    absolute = dv - shift(dv, -1, 0) - du + shift(du, 0, -1)  # d(h_q q)/dt; gradients have no curl
    dh = -(shift(us, 1, 0) - us + shift(vs, 0, 1) - vs)
    dhq = (dh + shift(dh, -1, 0) + shift(dh, 0, -1) + shift(dh, -1, -1)) / 4
    enstrophy = np.sum(q * absolute - q**2 * dhq / 2) / np.sum(np.abs(q * absolute))
    return abs(energy), abs(enstrophy)


def main():
    energy, enstrophy = random_enstrophy_change()
    print(f"periodic plane, relative: energy {energy:.1e}, potential enstrophy {enstrophy:.1e}")
    assert energy < 1e-14 and enstrophy < 1e-14

    gyre.require_program()
    with gyre.folder() as folder:
        grid = dict(nx=20, ny=17, lx=800e3, ly=612e3, dt=200.0)
        first = dict(bump=3.0, noise=0.5, bump_radius=120e3, tau0=1.2, cd=1e-2, nu=5400.0)
        gyre.run(folder, nsteps=25, restart_write="a", **grid, **first)
        gyre.run(folder, nsteps=20, restart_read="a", restart_write="b", **grid, **first)
        _, u, v, eta = gyre.read_restart(folder + "/a")
        head, *got = gyre.read_restart(folder + "/b")
        assert head["step"] == 45 and abs(u).max() > 0.1 and abs(v).max() > 0.1
        model = gyre.Reference(tau0=1.2, cd=1e-2, nu=5400.0, **grid)
        wanted = model.run(u, v, eta, 20)
        for name, a, b in zip("u v eta".split(), got, wanted):
            error = abs(a - b).max() / abs(b).max()
            print(f"{name}: largest difference from numpy after 20 steps, relative {error:.1e}")
            assert error < 1e-12
        # each term must matter in this comparison, or it would not be tested
        for change in (dict(tau0=0.0), dict(cd=0.0), dict(nu=0.0)):
            other = gyre.Reference(**{**dict(tau0=1.2, cd=1e-2, nu=5400.0), **change}, **grid).run(u, v, eta, 20)
            assert abs(other[0] - wanted[0]).max() > 1e-8, change


main()

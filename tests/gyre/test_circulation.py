# After some hundred days: two gyres of the right sense, intensified at the western wall, Sverdrup flow in the east.
# weir-test: timeout=60
#
# With s = (y - L/2) / L the wind's curl is -d tau_x / dy = -(2 pi tau0 / L) cos(pi s) (1 - 2 sin(pi s)): negative
# south of s = 1/6, positive north of it. Sverdrup: beta V = curl(tau) / rho, so the water of the interior flows south
# in the southern two thirds and north in the northern third, and returns along the western wall. The transport
# function psi (V = d psi / dx, psi = 0 on the walls) is then positive in the south (anticyclonic) and negative in the
# north (cyclonic).
import numpy as np

import gyre_support as gyre

N, L = 48, 3840e3
SAMPLES = 6


def mean_flow(folder):
    """Mean transports and surface of days 160 to 210, at friction high enough for this coarse grid."""
    common = dict(nx=N, ny=N, nu=5400.0, diagnostics_every=0)
    gyre.run(folder, ndays=160.0, restart_write="r", **common)
    total = 0
    for _ in range(SAMPLES):
        head, u, v, eta = gyre.read_restart(folder + "/r")
        h = head["depth"] + eta
        fx, fy = np.zeros_like(u), np.zeros_like(v)
        fx[:, :-1] = u[:, :-1] * (h[:, :-1] + h[:, 1:]) / 2
        fy[:-1] = v[:-1] * (h[:-1] + h[1:]) / 2
        total = total + np.stack([fx, fy, eta]) / SAMPLES
        gyre.run(folder, ndays=10.0, restart_read="r", restart_write="r", **common)
    return total


def main():
    gyre.require_program()
    with gyre.folder() as folder:
        fx, fy, eta = mean_flow(folder)
    d = L / N
    psi = np.cumsum(fy, axis=1) * d  # at north-east corners; from the western wall
    closed = abs(psi[:, -1]).max() / abs(psi).max()
    j, i = np.unravel_index(psi.argmax(), psi.shape)
    north_j, north_i = np.unravel_index(psi.argmin(), psi.shape)
    border = (1 / 6 + 1 / 2) * N
    print(f"south: {psi[j, i] / 1e6:.1f} Sv at {i / N:.2f}, {j / N:.2f} of L;"
          f" north: {psi[north_j, north_i] / 1e6:.1f} Sv at {north_i / N:.2f}, {north_j / N:.2f};"
          f" not closed {closed:.1e}")
    assert closed < 0.02, "the mean transport through each latitude must vanish"
    assert psi[j, i] > 20e6 and j < border, "the southern gyre must be anticyclonic"
    assert psi[north_j, north_i] < -5e6 and north_j > border, "the northern gyre must be cyclonic"
    assert i < N / 3 and north_i < N / 3, "the gyres must be intensified in the west"
    assert eta[j, i] > 0 > eta[north_j, north_i], "geostrophy: high in the anticyclone, low in the cyclone"

    # the boundary current flows north in the south, fast and narrow; the interior drifts south
    row = N // 3
    beta = 2 * 2 * np.pi / 86400 * np.cos(np.deg2rad(35.0)) / 6.371e6
    s = (row + 1) / N - 0.5
    sverdrup = -2 * np.pi * 0.12 / L * np.cos(np.pi * s) * (1 - 2 * np.sin(np.pi * s)) / 1000 / beta
    interior = fy[row - 2:row + 3, N // 2:-4].mean()
    print(f"at y = {(row + 1) / N:.2f} L: western current {fy[row].max():.0f} m2/s at column {fy[row].argmax()},"
          f" interior {interior:.1f} m2/s, Sverdrup {sverdrup:.1f}")
    assert fy[row].argmax() < N / 10 and fy[row].max() > 5 * abs(interior)
    assert 0.6 < interior / sverdrup < 1.4


main()

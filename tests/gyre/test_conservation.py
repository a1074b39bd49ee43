# Mass, the budget of energy, and energy without forcing and friction.
# weir-test: timeout=60
import numpy as np

import gyre_support as gyre

# Tolerances. In one step of RK4 the energy and the integrated powers each err with dt^5, and so does their
# difference: it must stay below BUDGET of the wind's largest work in a step at 0.93 of the automatic dt, and fall at
# least 2^4-fold when dt is halved. Without sources a wave of frequency w loses (w dt)^6 / 72 of its energy in a step
# of RK4, so that the loss over a fixed time falls as dt^5 (2^4.5 is asked for); DRIFT bounds it over a day at the
# longest dt.
BUDGET = 1e-9
DRIFT = 2e-3
DAY = 86400


def mass(folder):
    """The volume changes by rounding alone: a random walk of units in the last place in each cell, less in the mean."""
    steps = 2000
    gyre.run(folder, nx=32, ny=32, nsteps=steps, noise=0.3, bump=20.0, nu=5400.0, restart_write="m",
             diagnostics_every=0)
    head, _, _, eta = gyre.read_restart(folder + "/m")
    change = abs(np.mean(eta) - head["mean_eta0"])
    bound = 8 * np.sqrt(steps / eta.size) * np.finfo(float).eps * abs(eta).max()
    print(f"mass: mean eta {head['mean_eta0']:.3f} m changed by {change:.1e} m in {steps} steps, bound {bound:.1e} m")
    assert abs(head["mean_eta0"]) > 1e-2 and abs(eta).max() > 0.1 and change < bound


def budget(folder, dt):
    """Change of energy = wind - drag - friction, one row a step; the largest residual relative to the wind's work."""
    gyre.run(folder, nx=24, ny=24, lx=960e3, ly=960e3, tau0=0.5, cd=5e-3, nu=5400.0, dt=dt, ndays=20.0,
             budget_file="w.csv", diagnostics_every=1)
    table = gyre.read_budget(folder + "/w.csv")
    late = table["time_s"] > 15 * DAY  # spun up: all terms at work
    wind, drag, friction = (table[name + "_J"][late] for name in ("wind", "drag", "friction"))
    assert (drag > 0).all() and (friction > 0).all(), "drag and friction must take energy"
    for term in (drag, friction):
        assert term.max() > 1e-2 * abs(wind).max(), "a term of the budget is too small to be tested"
    # the residual is what it says it is, up to the rounding of the energy
    change = np.diff(table["energy_J"])[late[1:]]
    rounding = 1e-14 * table["energy_J"].max()
    assert np.allclose(change - wind + drag + friction, table["residual_J"][late], rtol=0, atol=rounding)
    worst = abs(table["residual_J"][late]).max() / abs(wind).max()
    print(f"budget, dt {dt:.0f} s: largest residual of one step {worst:.1e} of the wind's work in a step")
    return worst


def drift(folder, dt):
    """No wind, drag or friction: a hump of 20 m falls into waves and a vortex; relative loss of energy in a day."""
    gyre.run(folder, nx=32, ny=32, lx=1280e3, ly=1280e3, tau0=0.0, cd=0.0, nu=0.0, bump=20.0, bump_radius=160e3, dt=dt,
             ndays=1.0, budget_file="w.csv", diagnostics_every=int(DAY / dt))
    table = gyre.read_budget(folder + "/w.csv")
    assert len(table["step"]) == 2 and not any(abs(table[name + "_J"]).max() for name in ("wind", "drag", "friction"))
    loss = 1 - table["energy_J"][1] / table["energy_J"][0]
    print(f"free flow, dt {dt:.0f} s: energy lost in a day {loss:.1e}")
    return loss


def main():
    gyre.require_program()
    with gyre.folder() as folder:
        mass(folder)
        residuals = [budget(folder, dt) for dt in (480.0, 240.0)]
        assert residuals[0] < BUDGET
        assert residuals[0] / residuals[1] > 2**4
        losses = [drift(folder, dt) for dt in (480.0, 240.0, 120.0)]
        assert 0 < losses[0] < DRIFT
        for longer, shorter in zip(losses, losses[1:]):
            assert longer / shorter > 2**4.5, (longer, shorter)


main()

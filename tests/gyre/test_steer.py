# What is decided for the gyre takes effect at its step, with the same bits on any number of processes: the wind, and
# increments of u, v and eta.
# weir-test: timeout=60
import os
import subprocess
import sys

import gyre_support as gyre
import numpy as np

DRIVER = os.path.join(gyre.BUILD, "tests", "driver_steer")
NEVER = 10**9
GRID = dict(nx=12, ny=10, lx=480e3, ly=400e3, noise=0.1, bump=1.0)


def steered(folder, processes, name, at=NEVER, wind=1.0, add_at=NEVER, **settings):
    run = os.path.join(folder, name + ".run")
    os.mkdir(run)
    driver = subprocess.Popen([DRIVER, run, str(processes), str(at), str(wind), str(add_at)])
    os.environ["WEIR_RUN"] = run
    _, err = gyre.run(folder, processes, restart_write=name, keep_run=True, output_every=1, **GRID, **settings)
    del os.environ["WEIR_RUN"]
    assert not err, err
    assert driver.wait(timeout=20) == 0
    return gyre.read_restart(os.path.join(folder, name))


def plain(folder, name, **settings):
    gyre.run(folder, restart_write=name, **{**GRID, **settings})
    return gyre.read_restart(os.path.join(folder, name))


def same(a, b):
    return all((x == y).all() for x, y in zip(a[1:], b[1:]))


def main():
    gyre.require_program()
    if not os.path.exists(DRIVER):
        print(f"{DRIVER} was not built: skipped")
        sys.exit(77)
    with gyre.folder() as folder:
        # the first published step is step 1: from then on the wind is doubled
        plain(folder, "one", nsteps=1)
        strong = plain(folder, "strong", nsteps=19, tau0=0.24, restart_read="one")
        calm = plain(folder, "calm", nsteps=20)
        assert not same(strong, calm)
        for n in (1, 2, 3):
            assert same(steered(folder, n, f"wind{n}", at=0, wind=2.0, nsteps=20), strong), n
        assert same(steered(folder, 2, "none", nsteps=20), calm)

        # increments in the fifth published step: the state of that step and they, but closed walls
        before, *state = plain(folder, "five", nsteps=5)
        j, i = np.mgrid[0:GRID["ny"], 0:GRID["nx"]]
        shape = (1 + j * 7 % 5) * (1.0 + i * 3 % 4) / 1024
        expected = [x + (k + 1) * shape for k, x in enumerate(state)]
        expected[0][:, -1] = 0
        expected[1][-1] = 0
        after = steered(folder, 2, "added", add_at=4, assimilate=True, nsteps=5)
        for x, y in zip(after[1:], expected):
            assert (x == y).all()
        on = [steered(folder, n, f"on{n}", add_at=4, assimilate=True, nsteps=25) for n in (1, 2, 4)]
        assert same(on[0], on[1]) and same(on[0], on[2])
        assert not same(on[0], plain(folder, "off", nsteps=25))
        # asked for, and nothing ever comes; and without a run
        assert same(steered(folder, 2, "empty", assimilate=True, nsteps=20), calm)
        assert same(plain(folder, "alone", assimilate=True, output_every=1, nsteps=20), calm)
        _, err = gyre.run(folder, expect=2, assimilate=True, nsteps=1, **GRID)
        assert "assimilate needs output_every" in err, err
    print("wind and increments: same state on 1, 2, 3 and 4 processes")


main()

# Bad input: one message, exit status 2, nothing written.
# weir-test: timeout=60
import os

import gyre_support as gyre


def refused(folder, *words, processes=1, arguments=None, **settings):
    out, err = gyre.run(folder, processes, expect=2, arguments=arguments, **settings)
    lines = [line for line in err.splitlines() if line.startswith("gyre: ")]
    assert len(lines) == 1, f"one message expected: {err}"
    for word in words:
        assert word in lines[0], f"'{word}' is not in: {lines[0]}"
    assert not out or processes > 1, out
    print(lines[0])


def spoil(source, target, change):
    with open(source, "rb") as file:
        data = bytearray(file.read())
    with open(target, "wb") as file:
        file.write(change(data))


def main():
    gyre.require_program()
    with gyre.folder() as folder:
        out, err = gyre.run(folder, arguments=["--help"])
        assert "usage: gyre" in out and not err
        refused(folder, "gyre.nml", "no such", arguments=[])
        refused(folder, "absent.nml", "no such", arguments=["absent.nml"])
        refused(folder, "one argument", arguments=["a", "b"])
        with open(os.path.join(folder, "empty.nml"), "w") as file:
            file.write("nothing here\n")
        refused(folder, "empty.nml", "&gyre", arguments=["empty.nml"])
        with open(os.path.join(folder, "open.nml"), "w") as file:
            file.write("&gyre\n  nx = 8\n  nsteps = 1\n")
        refused(folder, "open.nml", "&gyre", arguments=["open.nml"])
        refused(folder, "gyre.nml", "wind", wind=1.0)
        refused(folder, "gyre.nml", "many", nx="many")
        refused(folder, "gyre.nml", "at least 4", nx=2)
        refused(folder, "depth", "positive", depth=-500.0)
        refused(folder, "restart_write", restart_every=3)
        refused(folder, "number of processes", npx=3, npy=3)
        refused(folder, "too small", processes=3, nx=4, ny=20, npx=3)
        refused(folder, "no/such/folder", budget_file="no/such/folder/w.csv")

        grid = dict(nx=12, ny=8, lx=480e3, ly=320e3, noise=0.1)
        path = os.path.join(folder, "r")
        gyre.run(folder, nsteps=2, restart_write="r", **grid)
        refused(folder, "absent", nsteps=1, restart_read="absent", **grid)
        refused(folder, "12 x 8", nsteps=1, restart_read="r", **{**grid, "nx": 8, "ny": 12})
        refused(folder, "time step", nsteps=1, restart_read="r", dt=1.0, **grid)
        refused(folder, "lx, ly or depth", nsteps=1, restart_read="r", dt=514.0, **{**grid, "lx": 481e3})
        spoil(path, path + "1", lambda d: d[:-8])
        refused(folder, "bytes", nsteps=1, restart_read="r1", **grid)
        spoil(path, path + "2", lambda d: d[:40])
        refused(folder, "header", nsteps=1, restart_read="r2", **grid)
        spoil(path, path + "3", lambda d: b"NOTGYRE!" + d[8:])
        refused(folder, "GYREST02", nsteps=1, restart_read="r3", **grid)
        for place in (34, 75, 100, 900, len(open(path, "rb").read()) - 3):  # step, mean, first and later elements
            spoil(path, path + "4", lambda d: d[:place] + bytes([d[place] ^ 4]) + d[place + 1:])
            refused(folder, "checksum", processes=2 if place == 100 else 1, nsteps=1, restart_read="r4", **grid)
        gyre.run(folder, nsteps=1, restart_read="r", **grid)  # the file itself is good
        refused(folder, "restart_step needs", nsteps=1, restart_step=0, **grid)
        refused(folder, "restart_step must", nsteps=1, restart_read="r", restart_step=-2, **grid)
        refused(folder, "more steps than", nsteps=9, restart_read="r", restart_step=2**31 - 5, **grid)
        for number, last in ((None, 3), (0, 1), (40, 41)):  # the same state under another number
            more = {} if number is None else {"restart_step": number}
            gyre.run(folder, nsteps=1, restart_read="r", restart_write="renumbered", **more, **grid)
            head, *state = gyre.read_restart(os.path.join(folder, "renumbered"))
            assert head["step"] == last, head
            assert number is None or all((x == y).all() for x, y in zip(state, before)), number
            before = state

        # a folder that does not exist, and a flow that blows up, are failures of the run: status 1
        _, err = gyre.run(folder, expect=1, nsteps=1, restart_write="no/such/folder/r", **grid)
        assert "cannot write the restart" in err
        _, err = gyre.run(folder, expect=1, nsteps=200, diagnostics_every=50, dt=2000.0, **grid)
        assert "not finite at step" in err and err.count("gyre: ") == 1, err
        _, err = gyre.run(folder, expect=1, nsteps=200, diagnostics_every=0, dt=2000.0, restart_write="bad", **grid)
        assert "not finite at step 200" in err and not os.path.exists(os.path.join(folder, "bad")), err


main()

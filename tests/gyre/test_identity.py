# The state has the same bits on any number of processes, and after a restart in the middle, on other processes.
# weir-test: timeout=60
import os

import gyre_support as gyre

COMMON = dict(nx=40, ny=36, lx=1600e3, ly=1440e3, noise=0.5, bump=5.0, diagnostics_every=10, nu=5400.0)


def bytes_of(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def main():
    gyre.require_program()
    with gyre.folder() as folder:
        text, budget, state = {}, {}, {}
        cases = [(1, {}), (2, {}), (3, {}), (4, {}), (6, {}), (4, dict(npx=4)),
                 (5, dict(npy=5)), (3, dict(npx=3, npy=1))]
        for processes, cut in cases:
            key = (processes, *cut.items())
            out, _ = gyre.run(folder, processes, nsteps=60, restart_write="r", budget_file="w.csv", **COMMON, **cut)
            text[key] = [line for line in out.splitlines() if line.startswith("day")]
            budget[key], state[key] = bytes_of(folder, "w.csv"), bytes_of(folder, "r")
        alone = (1,)
        assert len(text[alone]) == 6 and len(budget[alone].splitlines()) == 8
        for key in state:
            assert state[key] == state[alone], f"the state on {key} differs from that of one process"
            assert text[key] == text[alone], f"diagnostics on {key} differ: {text[key]} {text[alone]}"
            assert budget[key] == budget[alone], f"the budget on {key} differs"
        print(f"{len(state)} decompositions: same state, diagnostics and budget")

        # 30 steps on three processes, then 30 on two, then the rest in one go with files on the way
        gyre.run(folder, 3, nsteps=30, restart_write="half", **COMMON)
        assert bytes_of(folder, "half") != state[alone]
        gyre.run(folder, 2, nsteps=30, restart_read="half", restart_write="whole", restart_every=7, **COMMON)
        assert bytes_of(folder, "whole") == state[alone], "30 + 30 steps differ from 60"
        # without noise the state is another one: the comparison sees the state
        gyre.run(folder, 1, nsteps=60, restart_write="other", **{**COMMON, "seed": 2})
        assert bytes_of(folder, "other") != state[alone]
        assert sorted(os.listdir(folder)) == ["gyre.nml", "half", "other", "r", "r.old", "w.csv", "whole", "whole.old"], os.listdir(folder)
        print("restart: 30 + 30 steps on other processes = 60 steps")


main()

# The state does not depend on the analysis: not asked for, or asked for while no worker comes.
# weir-test: timeout=60
import os

import gyre_support as gyre


def main():
    gyre.require_program()
    setup = dict(nx=24, ny=20, nsteps=12, diagnostics_every=4, noise=0.1)
    with gyre.folder() as folder:
        run = os.path.join(folder, "run")
        os.mkdir(run)
        gyre.run(folder, 2, restart_write="without", **setup)
        out, err = gyre.run(folder, 2, restart_write="idle", output_every=3, **setup)
        assert "analysis" not in err, err
        os.environ.update(WEIR_RUN=run, WEIR_ATTACH_TIMEOUT="0.5")
        alone = gyre.run(folder, 2, restart_write="alone", output_every=3, keep_run=True, expect=None, **setup)
        if "built without the weir client" in alone[1]:
            print("no weir client in this build: refused, as it should be")
            return
        # each process says once that it goes on alone
        assert alone[1].count("goes on without its analysis") == 2, alone[1]
        assert out == alone[0]
        states = [open(os.path.join(folder, name), "rb").read() for name in ("without", "idle", "alone")]
        assert states[0] == states[1] == states[2], "the state depends on the analysis"
        print("same state without output, with output, and with output that nobody takes")


main()

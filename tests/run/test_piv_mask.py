# weir-test: timeout=60
"""Masks: a flow along a static, bright wall. Without a mask the wall holds the vectors near it back; with one they are right up to the
wall. The same mask as an image, as polygons in a file and in the recipe, and as a field computed for each couple, gives the same bytes,
whatever the threads and chunks. Which vectors there are is said by the mask alone. What cannot be a mask is refused with its place."""
import os
import re
import shutil
import tempfile

from piv_support import Image, np, piv, store, success, synth, weir

NY, NX, WALL, SHIFT = 256, 320, 181, (0.7, 5.3)  # the wall is rows WALL .. and a wedge from the left


def is_wall():
    y, x = np.mgrid[:NY, :NX]
    return (y >= WALL) | (x <= 60 - np.abs(y - 70))  # a triangle: [10, 0], [70, 60], [130, 0]


def make(folder):
    synth(folder, "one", pairs=2, size=f"{NY}x{NX}", shift=f"{SHIFT[0]},{SHIFT[1]}", density=0.05, noise=2, seed=7)
    wall = is_wall()
    glare = np.random.default_rng(1).integers(120, 256, (NY, NX)).astype(np.uint8)  # with structure, that does not move
    for name in os.listdir(os.path.join(folder, "one")):
        path = os.path.join(folder, "one", name)
        image = np.array(Image.open(path))
        image[wall] = glare[wall]
        Image.fromarray(image).save(path)
    Image.fromarray((wall * 255).astype(np.uint8)).save(os.path.join(folder, "wall.png"))
    with open(os.path.join(folder, "wall.csv"), "w") as file:
        file.write(f"# the wall, then the wedge\nx,y\n-5,{WALL}\n{NX},{WALL}\n{NX},{NY}\n-5,{NY}\n\n0,10\n60,70\n0,130\n")


def share_masked(grid_y, grid_x, window=32):
    wall = is_wall()
    first = lambda centre: int(round(centre - (window - 1) / 2))
    return np.array([[wall[first(y):first(y) + window, first(x):first(x) + window].mean() for x in grid_x] for y in grid_y])


def errors(found, which):
    du, dv = found["u"][:, which] - SHIFT[1], found["v"][:, which] - SHIFT[0]
    return float(np.nanmean(np.hypot(du, dv))), float(np.hypot(np.nanmean(du), np.nanmean(dv)))


def near_the_wall(folder):
    bare = piv(folder, "one")
    masked = piv(folder, "one", "--mask", "wall.png", out="png")
    share = share_masked(masked["y"], masked["x"])
    near = (share > 0) & (share <= 0.5)
    assert near.sum() > 25
    print("vectors near the wall:", int(near.sum()))
    for name, found in (("without mask", bare), ("with mask", masked)):
        print(f"{name}: mean error {errors(found, near)[0]:.3f}, bias {errors(found, near)[1]:.3f} pixels; far "
              f"{errors(found, share == 0)[0]:.3f}; valid near {np.mean(found['flag'][:, near] == 0):.3f}")
    assert errors(bare, near)[0] > 1, "the wall should do harm without a mask"
    mean, bias = errors(masked, near)
    assert mean < 0.12 and bias < 0.02, (mean, bias)
    assert np.mean(masked["flag"][:, near] == 0) > 0.97
    assert errors(masked, share == 0)[0] < 0.05
    # which vectors there are depends on the mask only, and those that are not there say why
    gone = share > 0.5
    assert np.array_equal(masked["flag"] == 3, np.broadcast_to(gone, masked["flag"].shape))
    for name in ("u", "v", "correlation"):
        assert np.isnan(masked[name][:, gone]).all() and np.isfinite(masked[name][:, ~gone]).all(), name
    assert (masked["replaced"][:, gone] == 3).all()
    # a single pass: what is left of a window is narrower, and its bias with it is taken away
    single = piv(folder, "one", "--mask", "wall.png", "--window", "32", out="single")
    mean, bias = errors(single, near)
    print(f"single pass: mean error {mean:.3f}, bias {bias:.3f} pixels")
    assert bias < 0.06, bias
    return masked


def recipe(folder, mask, expression="mask", limit="", extra=""):
    """Fields of a run whose stream has this mask."""
    text = f"run: masks\nstream:\n  images: one\n  subset: pairs\n{mask}{extra}fields:\n  flow: piv(a, b, mask={expression}{limit})\n"
    text += "outputs:\n  - zarr: {path: m.zarr, fields: [flow.u, flow.v, flow.correlation, flow.uncertainty_u, flow.flag, flow.replaced]}\n"
    with open(os.path.join(folder, "m.yaml"), "w") as file:
        file.write(text)
    return os.path.join(folder, "m.yaml")


def run(folder, *given, threads=0, **options):
    recipe(folder, *given, **options)
    success(folder, "run", "m.yaml", "--dir", "mrun", "--threads", threads)
    found = {name.rpartition(".")[2]: values for name, values in store(os.path.join(folder, "m.zarr")).items()}
    for name in ("m.zarr", "mrun"):
        shutil.rmtree(os.path.join(folder, name))
    return found


def same(one, other):
    for name in ("u", "v", "correlation", "uncertainty_u", "flag", "replaced"):
        assert np.array_equal(one[name], other[name], equal_nan=True), name


def many_ways(folder, image):
    corners = f"[[[{WALL}, -5], [{WALL}, {NX}], [{NY}, {NX}], [{NY}, -5]], [[10, 0], [70, 60], [130, 0]]]"
    same(image, run(folder, "  mask: wall.png\n"))
    same(image, run(folder, "  mask: [wall.csv]\n", threads=2))
    same(image, run(folder, f"  mask: {corners}\n", extra="  chunks: {y: 100}\n"))
    # computed for each couple: what is bright for long, in both images
    dynamic = run(folder, "", "(local_min(a, size=3) > 100) + (local_min(b, size=3) > 100) > 1")
    share = share_masked(image["y"], image["x"])
    near = (share > 0.1) & (share < 0.4)
    print(f"dynamic mask: mean error {errors(dynamic, near)[0]:.3f} pixels")
    assert errors(dynamic, near)[0] < 0.3
    # how much of a window may be masked
    strict, loose = (run(folder, "  mask: wall.png\n", limit=f", mask_limit={limit}") for limit in (0, 0.7))
    assert np.array_equal(strict["flag"] == 3, np.broadcast_to(share > 0, strict["flag"].shape))
    assert np.array_equal(loose["flag"] == 3, np.broadcast_to(share > 0.7, loose["flag"].shape))
    print(f"mask_limit 0.7: mean error {errors(loose, (share > 0.5) & (share <= 0.7))[0]:.3f} where more than half is masked")


def refused(folder):
    cases = {
        "nothing.png": (None, r"no such file"),
        "small.png": (lambda path: Image.fromarray(np.zeros((5, 5), np.uint8)).save(path), r"5 x 5 pixels, expected 256 x 320"),
        "noise.txt": (lambda path: open(path, "w").write("hello\n"), r"noise.txt:1: no mask"),
        "two.csv": (lambda path: open(path, "w").write("y,x\n1,1\n2,2\n\n"), r"two.csv:2: a polygon has 2 points"),
        "word.csv": (lambda path: open(path, "w").write("y,x\n1,1\n2,b\n"), r"word.csv:3: 'b' is no number"),
        "lack.csv": (lambda path: open(path, "w").write("y,x\n1,1\n2\n"), r"lack.csv:3: a point lacks"),
        "none.csv": (lambda path: open(path, "w").write("polygon y x\n"), r"there is no polygon"),
    }
    for name, (write, message) in cases.items():
        if write:
            write(os.path.join(folder, name))
        done = weir(folder, "piv", "one", "-o", "bad", "--mask", name)
        assert done.returncode == 2 and re.search(message, done.stderr), (name, done.returncode, done.stderr)
    for mask, message in (("[]", "empty"), ("[[[1, 2], [3, 4]]]", "at least three"), ("[[[1], [2], [3]]]", r"expected a pixel \[y, x\]"),
                          ("{a: 1}", "expected a file, or polygons")):
        recipe(folder, f"  mask: {mask}\n")
        done = weir(folder, "check", "m.yaml")
        assert done.returncode == 2 and re.search(message, done.stderr + done.stdout), (mask, done.stdout, done.stderr)
    recipe(folder, "  mask: wall.png\n")
    shown = success(folder, "check", "m.yaml").stdout
    assert re.search(r"mask: %.3g %% of the pixels" % (100 * is_wall().mean()), shown), shown


with tempfile.TemporaryDirectory() as folder:
    make(folder)
    image = near_the_wall(folder)
    many_ways(folder, image)
    refused(folder)

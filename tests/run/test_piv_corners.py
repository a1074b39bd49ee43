# weir-test: timeout=60
#
# Velocimetry where little is as usual: displacements so rough that the images deformed by them reach far, windows too small for the
# usual search, a height of windows without a width, masks that are no numbers, and parameters beyond what is possible.
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy as np
    from PIL import Image
except ImportError as missing:
    print("skipped:", missing)
    sys.exit(77)

WEIR = os.path.join(os.environ["WEIR_BUILD"], "bin", "weir")
random = np.random.default_rng(3)


def run(folder, a, b, call, fields):
    os.makedirs(os.path.join(folder, "images"), exist_ok=True)
    for name, image in (("im1", a), ("im2", b)):
        Image.fromarray(np.ascontiguousarray(image)).save(os.path.join(folder, "images", name + ".tif"))
    with open(os.path.join(folder, "test.yaml"), "w") as file:
        file.write(
            "run: test\nstream: {images: images, subset: pairs}\n"
            f"fields:\n  flow: {call}\n"
            f"outputs:\n  - csv: {{path: t.csv, fields: [{', '.join(fields)}]}}\n"
        )
    return subprocess.run([WEIR, "run", "test.yaml"], cwd=folder, capture_output=True, text=True)


def values(a, b, call, *fields):
    """Of each field all values, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(folder, a, b, call, fields)
        assert done.returncode == 0, done.stderr
        with open(os.path.join(folder, "t.csv")) as file:
            row = list(csv.reader(file))[1][2:]
    return np.array([float(cell) if cell else np.nan for cell in row]).reshape(len(fields), -1)


def noise(height, width):
    return random.integers(0, 255, (height, width)).astype(np.uint8)


def test_rough_displacements_need_rows_on_both_sides():
    """Vectors of noise jump by 60 pixels; turned upside down they must be the same, row by row."""
    a, b = noise(400, 192), noise(400, 192)
    call = "piv(a, b, window=[64, 64], search=[31, 2], min_correlation=-1, median=0, second=no)"
    upright = values(a, b, call, "flow.v", "flow.u").reshape(2, 11, 5)
    turned = values(a[::-1], b[::-1], call, "flow.v", "flow.u").reshape(2, 11, 5)[:, ::-1]
    assert np.isfinite(upright).any()
    np.testing.assert_allclose(turned[0], -upright[0], atol=1e-3)
    np.testing.assert_allclose(turned[1], upright[1], atol=1e-3)


def test_smallest_windows_search_what_they_can():
    image = noise(40, 40)
    for call in ("piv(a, b, window=[16, 4])", "piv(a, b, window=[5, 5])"):
        u, v = values(image, image, call, "flow.u", "flow.v")
        assert np.nanmax(np.abs(u)) < 1e-3 and np.nanmax(np.abs(v)) < 1e-3 and np.isfinite(u).mean() > 0.9


def test_height_alone_leaves_the_usual_passes():
    a = noise(96, 96)
    b = np.roll(a, 1, 1)
    assert np.array_equal(
        values(a, b, "piv(a, b, window_y=32)", "flow.u"), values(a, b, "piv(a, b, window=[64, 32, 32], window_y=32)", "flow.u")
    )


def test_mask_that_is_no_number_masks():
    a = noise(64, 64)
    flag, = values(a, a, "piv(a, b, mask=a / 0, window=32)", "flow.flag")
    assert (flag == 3).all()


def test_few_vectors_have_no_vorticity():
    """Differences take three vectors. The windows of the last pass decide; with three each way all is as usual."""
    with tempfile.TemporaryDirectory() as folder:
        for size, options, rows, columns in (
            ((63, 256), ["--window", "32"], 2, 15),
            ((96, 40), ["--window", "32"], 5, 1),
            ((32, 32), ["--window", "32", "--try"], 1, 1),
            ((80, 80), ["--window", "32", "--overlap", "0"], 2, 2),
            ((64, 64), ["--window", "64,32"], 3, 3),
            ((64, 64), ["--window", "32,64"], 1, 1),
            ((64, 64), [], 3, 3),
            ((70, 64), ["--overlap", "0.5,0.2"], 2, 2),
        ):
            a = noise(*size)
            os.makedirs(os.path.join(folder, "im"), exist_ok=True)
            for name, image in (("im1", a), ("im2", np.roll(a, (1, 2), (0, 1)))):
                Image.fromarray(image).save(os.path.join(folder, "im", name + ".tif"))
            shutil.rmtree(os.path.join(folder, "out"), ignore_errors=True)
            done = subprocess.run([WEIR, "piv", "im", "-o", "out", *options], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, (size, options, done.stderr)
            enough = rows >= 3 and columns >= 3
            with open(os.path.join(folder, "out", "piv.yaml")) as file:
                recipe = file.read()
            assert ("ddx" in recipe) == enough and ("no vorticity" in recipe) == (not enough), (size, options, recipe)
            pictures = [name for name in os.listdir(os.path.join(folder, "out")) if name.endswith(".png")]
            assert len(pictures) == enough, (size, options, pictures)
            with open(os.path.join(folder, "out", "piv.zarr", "u", ".zarray")) as file:
                assert json.load(file)["shape"][1:] == [rows, columns], (size, options)


def test_what_is_impossible_is_said_before_the_run():
    a = noise(64, 64)
    for call, said in (
        ("piv(a, b, window=16, smooth=last, domain=1001)", "domain of piv is 1001, expected 16 to 1000"),
        ("piv(a, b, window=[16, 8], search=[4, 4])", "pass 2 searches up to 4 pixels, expected 1 to 3 in a window of 8"),
        ("piv(a, b, window=65)", "is larger than the image"),
        ("piv(a, b, window=[16, 8.5])", "window is 8.5, expected a whole number"),
        ("piv(a, b, window=16, u_limits=3)", "expected two numbers in increasing order"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            done = run(folder, a, a, call, ["flow.u"])
            assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()

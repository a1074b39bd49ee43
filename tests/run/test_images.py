# weir-test: timeout=120
#
# A series of images as a stream: every number against numpy, images that are missing, cut short or of another size harm the steps that use
# them and no other, and the outputs have the same bytes whatever the threads and workers.
import csv
import hashlib
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
COUNT, SHAPE = 32, (40, 52)
random = np.random.default_rng(5)


def weir(folder, *arguments):
    return subprocess.run([WEIR, *arguments], cwd=folder, capture_output=True, text=True)


def write_recipe(folder, stream, fields, outputs):
    text = "run: test\nstream:\n" + "".join(f"  {key}: {value}\n" for key, value in stream.items())
    text += "fields:\n" + "".join(f"  {key}: {value}\n" for key, value in fields.items())
    text += "outputs:\n" + "".join(f"  - {line}\n" for line in outputs)
    with open(os.path.join(folder, "test.yaml"), "w") as file:
        file.write(text)


def run(folder, *arguments):
    shutil.rmtree(os.path.join(folder, "test.run"), ignore_errors=True)
    return weir(folder, "run", "test.yaml", *arguments)


def table(folder, name="t.csv"):
    with open(os.path.join(folder, name)) as file:
        rows = list(csv.reader(file))
    return rows[0], rows[1:]


def numbers(row):
    return [float(cell) if cell else None for cell in row]


def report(folder):
    with open(os.path.join(folder, "test.run", "report.json")) as file:
        return json.load(file)


def digest(folder, *names):
    out = {}
    for name in names:
        for top, _, files in os.walk(os.path.join(folder, name)) if os.path.isdir(os.path.join(folder, name)) else [
            (folder, [], [name])
        ]:
            for file in files:
                path = os.path.join(top, file)
                with open(path, "rb") as bytes_:
                    out[os.path.relpath(path, folder)] = hashlib.sha256(bytes_.read()).hexdigest()
    return out


def write_series(folder, pattern, dtype, count=COUNT, first=0):
    os.makedirs(os.path.join(folder, "im"), exist_ok=True)
    images = random.integers(0, np.iinfo(dtype).max, (count, *SHAPE), endpoint=True).astype(dtype)
    for k, image in enumerate(images):
        Image.fromarray(image).save(os.path.join(folder, "im", pattern.format(first + k)))
    return images


def one_by_one(folder):
    """Means of 8-bit PGM, one per step; numbers with and without zeros in front; time; a part of the series."""
    images = write_series(folder, "im{}.pgm", np.uint8, 12, 3)
    write_recipe(folder, {"images": "im", "dt": "500 ms", "chunks": "{y: 16}"}, {"m": "mean(image)", "low": "min(image)"},
                 ["csv: {path: t.csv, fields: [m, low]}"])
    done = run(folder)
    assert done.returncode == 0, done.stderr
    head, rows = table(folder)
    assert head[1].startswith("time") and "s" in head[1], head
    for k, row in enumerate(map(numbers, rows)):
        assert row == [3 + k, (3 + k) * 0.5, np.mean(images[k].astype(float)), images[k].min()], (row, k)
    assert len(rows) == 12
    write_recipe(folder, {"images": "'im/im*.pgm'", "subset": "i:i+3", "start": 4, "stop": 11, "step": 3, "rate": 1000},
                 {"m": "mean(image0) + 2 * mean(image1) - mean(image2)"}, ["csv: {path: t.csv, fields: [m]}"])
    done = run(folder)
    assert done.returncode == 0, done.stderr
    means = images.astype(float).mean(axis=(1, 2))
    rows = [numbers(row) for row in table(folder)[1]]
    assert [row[0] for row in rows] == [4, 7, 10], rows
    for i, time, m in rows:
        k = int(i) - 3
        assert abs(time - i * 1e-3) < 1e-15 and m == means[k] + 2 * means[k + 1] - means[k + 2], (i, time, m)
    check = weir(folder, "check", "test.yaml")
    assert check.returncode == 0, check.stderr
    for part in ("im/im{3..14}.pgm: 12 files", "PGM, 40 x 52 pixels (height x width) of uint8",
                 "subset i:i+3: steps i = 4 to 10, 3 images each"):
        assert part in check.stdout, (part, check.stdout)
    assert "missing" not in check.stdout.lower(), check.stdout


def couples_with_faults(folder):
    """16-bit TIFF in couples, with one missing, one of 7 bytes, one of another size, and one of another type."""
    images = write_series(folder, "c{:04}.tif", np.uint16)
    os.remove(os.path.join(folder, "im", "c0005.tif"))
    with open(os.path.join(folder, "im", "c0011.tif"), "wb") as file:
        file.write(b"II*\0\x08\0\0")
    Image.fromarray(images[18][:, :-1].copy()).save(os.path.join(folder, "im", "c0018.tif"))
    Image.fromarray((images[24] >> 8).astype(np.uint8)).save(os.path.join(folder, "im", "c0024.tif"))
    path = os.path.join(folder, "im", "c0028.tif")
    with open(path, "rb+") as file:
        file.truncate(os.path.getsize(path) - 100)
    bad = {5: "no such file", 11: "c0011.tif", 18: "40 x 51", 24: "uint8", 28: "c0028.tif"}
    write_recipe(folder, {"images": "im", "subset": "pairs", "chunks": "{y: 13, x: 30}"},
                 {"d": "mean(b) - mean(a)", "top": "max(a)", "s": "a + b"},
                 ["csv: {path: t.csv, fields: [d, top]}", "zarr: {path: t.zarr, fields: [s]}"])
    check = weir(folder, "check", "test.yaml")
    assert check.returncode == 0, check.stderr
    assert "31 files" in check.stdout and "missing: 2 steps lack an image" in check.stdout, check.stdout
    assert "step 4: im/c0005.tif" in check.stdout, check.stdout
    first = None
    for workers, threads in ((1, 0), (1, 1), (1, 2), (1, 3), (2, 0), (2, 1), (3, 2), (3, 0)):
        shutil.rmtree(os.path.join(folder, "t.zarr"), ignore_errors=True)
        done = run(folder, "--workers", str(workers), "--threads", str(threads))
        assert done.returncode == 1, (workers, threads, done.returncode, done.stderr)
        rows = [numbers(row) for row in table(folder)[1]]
        assert [row[0] for row in rows] == list(range(COUNT - 1)), rows
        for i, row in enumerate(rows):
            d = None if i in bad or i + 1 in bad else images[i + 1].astype(float).mean() - images[i].astype(float).mean()
            top = None if i in bad else images[i].max()
            assert row[1] == i and row[2:] == [d, top], (workers, threads, i, row, d, top)
        lines = {(m["from"], m["why"]) for m in report(folder)["missing"]}
        assert {i for i, _ in lines} == {i for k in bad for i in (k - 1, k)}, lines
        for k, part in bad.items():
            for i in (k - 1, k):
                why = [text for at, text in lines if at == i]
                assert len(why) == 1 and part in why[0] and f"c{k:04}.tif" in why[0], (i, part, why)
                assert f"missing    step {i}: {why[0]}" in done.stderr, done.stderr
        got = digest(folder, "t.csv", "t.zarr")
        first = first or got
        assert got == first, (workers, threads, [name for name in first if got.get(name) != first[name]])
    try:
        import xarray
    except ImportError:
        return
    with xarray.open_zarr(os.path.join(folder, "t.zarr")) as store:
        s = store.s.values
        assert store.s.dims[1:] == ("y", "x") and s.shape[1:] == SHAPE, store
        for i in set(range(COUNT - 1)) - {k - 1 for k in bad} - set(bad):
            assert np.array_equal(s[i], images[i].astype(s.dtype) + images[i + 1].astype(s.dtype)), i


def raw_and_pages(folder):
    """Big-endian elements without a header, with gaps and pages; pages of a TIFF; given names."""
    pages = random.integers(0, 4096, (6, *SHAPE)).astype(">u2")
    with open(os.path.join(folder, "movie.raw"), "wb") as file:
        file.write(b"x" * 10)
        for page in pages:
            for row in page:
                file.write(row.tobytes() + b"gap!")
            file.write(b"frame")
    stride = 2 * SHAPE[1] + 4
    write_recipe(folder, {"images": "movie.raw", "subset": "2*i:2*i+2", "names": "[left, right]", "rate": 50,
                          "raw": f"{{height: {SHAPE[0]}, width: {SHAPE[1]}, dtype: uint16, offset: 10, stride: {stride}, "
                                 f"frame: {stride * SHAPE[0] + 5}, byte_order: big, bits: 12}}"},
                 {"l": "mean(left)", "r": "mean(right)"}, ["csv: {path: t.csv, fields: [l, r]}"])
    done = run(folder)
    assert done.returncode == 0, done.stderr
    rows = [numbers(row) for row in table(folder)[1]]
    means = pages.astype(float).mean(axis=(1, 2))
    assert [row[2:] for row in rows] == [[means[2 * i], means[2 * i + 1]] for i in range(3)], rows
    stack = [Image.fromarray(page.astype(np.uint16)) for page in pages]
    stack[0].save(os.path.join(folder, "stack.tif"), save_all=True, append_images=stack[1:])
    write_recipe(folder, {"images": "stack.tif", "subset": "pairs"}, {"l": "mean(a)", "r": "mean(b)"},
                 ["csv: {path: t.csv, fields: [l, r]}"])
    done = run(folder, "--threads", "2")
    assert done.returncode == 0, done.stderr
    rows = [numbers(row) for row in table(folder)[1]]
    assert [row[2:] for row in rows] == [[means[i], means[i + 1]] for i in range(5)], rows
    assert "stack.tif[0..5]" in weir(folder, "check", "test.yaml").stdout


def beside_another(folder):
    """Images joined to a leading series by the number of the step."""
    images = write_series(folder, "x{}.pgm", np.uint8, 6)
    dark = random.integers(0, 9, SHAPE).astype(np.uint8)
    os.makedirs(os.path.join(folder, "dark"))
    Image.fromarray(dark).save(os.path.join(folder, "dark", "d0.pgm"))
    with open(os.path.join(folder, "test.yaml"), "w") as file:
        file.write("run: test\nstreams:\n  camera: {images: im}\n  dark: {images: dark, join: {step: last}}\n"
                   "fields:\n  m: mean(camera.image - dark.image)\noutputs:\n  - csv: {path: t.csv, fields: [m]}\n")
    done = run(folder)
    assert done.returncode == 0, done.stderr
    rows = [numbers(row) for row in table(folder)[1]]
    for k, row in enumerate(rows):
        assert abs(row[2] - (images[k].astype(float) - dark).mean()) < 1e-12, row
    assert len(rows) == 6


def messages(folder):
    os.makedirs(os.path.join(folder, "none"))
    write_series(folder, "x{}.pgm", np.uint8, 3)
    for stream, part in (({"images": "none"}, "test.yaml:3:3: images: no files in none"),
                         ({"images": "nowhere"}, "test.yaml:3:3: images: nowhere: No such file or directory"),
                         ({"images": "im", "subset": "i:k"}, "'k' at character 3"),
                         ({"images": "im", "names": "[a, b]"}, "2 names are given, expected 1"),
                         ({"images": "im", "start": 7}, "no step between start and stop has all of its images")):
        write_recipe(folder, stream, {}, ["csv: {path: t.csv, fields: [mean(image)]}"])
        text = open(os.path.join(folder, "test.yaml")).read().replace("fields:\noutputs", "outputs").replace(
            "mean(image)", "'mean(image)'")
        open(os.path.join(folder, "test.yaml"), "w").write(text)
        for done in (weir(folder, "check", "test.yaml"), run(folder)):
            assert done.returncode == 2 and part in done.stderr, (part, done.returncode, done.stdout, done.stderr)


for test in (one_by_one, couples_with_faults, raw_and_pages, beside_another, messages):
    with tempfile.TemporaryDirectory() as folder:
        test(folder)
        print(test.__name__)

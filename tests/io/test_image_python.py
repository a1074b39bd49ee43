"""Images written by others, or by hand here, read by weir; images written by weir, read by PIL.
weir-test: timeout=60
"""
import os
import struct
import subprocess
import sys
import tempfile
import zlib

try:
    import numpy as np
    from PIL import Image
except ImportError:
    print("skipped: needs numpy and PIL")
    sys.exit(77)

DRIVER = os.path.join(os.environ.get("WEIR_BUILD", ""), "tests", "driver_image")
if not os.path.exists(DRIVER):
    print("skipped: no driver_image in the build")
    sys.exit(77)

rng = np.random.default_rng(7)
H, W = 37, 53


def run(*arguments):
    command = [DRIVER, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr, (command, done.stderr)  # no library prints on its own
    return done.stdout.splitlines()


def read(path, raw=None):
    """[(info, pixels)] of all pages; a text for an error."""
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path)) as out:
        lines = run("raw", out.name, path, *raw) if raw else run("read", out.name, path)
        data, pages, at = out.read(), [], 0
    for line in lines:
        if line.startswith("error"):
            return line
        kind, h, w, n, dtype, bits, colour, timed, time = line.split()
        count = int(h) * int(w) * np.dtype(dtype).itemsize
        pages.append(({"format": kind, "pages": int(n), "bits": int(bits), "colour": int(colour),
                       "time": float(time) if int(timed) else None},
                      np.frombuffer(data[at:at + count], dtype).reshape(int(h), int(w))))
        at += count
    assert at == len(data), (at, len(data))
    return pages


def same(path, expected, name, raw=None, **info):
    pages = read(path, raw)
    assert not isinstance(pages, str), (name, pages)
    expected = expected if isinstance(expected, list) else [expected]
    assert len(pages) == len(expected), (name, len(pages))
    for (found, pixels), want in zip(pages, expected):
        assert pixels.dtype == want.dtype, (name, pixels.dtype, want.dtype)
        assert pixels.shape == want.shape, (name, pixels.shape)
        assert np.array_equal(pixels, want), (name, pixels, want)
        for key, value in info.items():
            assert found[key] == value, (name, key, found[key], value)


def luminance(rgb):
    r, g, b = (rgb[..., i].astype(np.uint64) for i in range(3))
    return ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16).astype(rgb.dtype)


def u8(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)


def u16(*shape):
    return rng.integers(0, 65536, shape, dtype=np.uint16)


def with_pil(folder):
    """Every format and mode that PIL writes."""
    gray, wide, rgb, rgba = u8(H, W), u16(H, W), u8(H, W, 3), u8(H, W, 4)
    bits = rng.integers(0, 2, (H, W)).astype(bool)
    palette = u8(16, 3)
    index = rng.integers(0, 16, (H, W), dtype=np.uint8)
    coloured = Image.fromarray(index, "P")
    coloured.putpalette(palette.tobytes())
    real = rng.standard_normal((H, W)).astype(np.float32)
    images = {"L": (Image.fromarray(gray), gray), "I;16": (Image.fromarray(wide), wide),
              "RGB": (Image.fromarray(rgb), luminance(rgb)), "RGBA": (Image.fromarray(rgba), luminance(rgba)),
              "LA": (Image.merge("LA", [Image.fromarray(gray), Image.fromarray(gray)]), gray),
              "1": (Image.fromarray(bits), bits.astype(np.uint8) * 255),
              "P": (coloured, luminance(palette)[index]), "F": (Image.fromarray(real), real)}
    assert np.array_equal(np.asarray(images["RGB"][0].convert("L")), luminance(rgb))
    cases = 0
    for extension, modes in (("png", ("L", "I;16", "RGB", "RGBA", "LA", "1", "P")),
                             ("bmp", ("L", "RGB", "RGBA", "1", "P")), ("ppm", ("L", "RGB")),
                             ("tif", ("L", "I;16", "RGB", "RGBA", "LA", "P", "F", "1"))):
        for mode in modes:
            options = [{}]
            if extension == "tif":
                options += [{"compression": c} for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")]
            if extension == "png":
                options += [{"compress_level": 0}, {"optimize": True}]
            for option in options:
                path = os.path.join(folder, f"image.{extension}")
                image, expected = images[mode]
                image.save(path, **option)
                if extension == "bmp" and mode == "RGBA":
                    expected = luminance(rgba)
                same(path, expected, (extension, mode, option), colour=int(mode in ("RGB", "RGBA", "P")))
                cases += 1
    for option in ({"quality": 90}, {"quality": 30, "progressive": True}, {"quality": 100, "subsampling": 0}):
        for mode in ("L", "RGB"):
            path = os.path.join(folder, "image.jpg")
            smooth = Image.fromarray(np.add.outer(np.arange(H), np.arange(W)).astype(np.uint8)).convert(mode)
            smooth.save(path, **option)
            decoded = Image.open(path)
            decoded.draft("L", (W, H))
            same(path, np.asarray(decoded.convert("L")), ("jpg", mode, option), colour=int(mode == "RGB"))
            cases += 1
    path = os.path.join(folder, "image.tif")
    smooth.convert("L").save(path, compression="jpeg")
    same(path, np.asarray(Image.open(path)), "JPEG in TIFF")
    pages = [u16(H + i, W) for i in range(5)]
    path = os.path.join(folder, "pages.tif")
    Image.fromarray(pages[0]).save(path, save_all=True, append_images=[Image.fromarray(p) for p in pages[1:]])
    same(path, pages, "pages", pages=5)
    return cases + 2


def tiff(planes, order="<", big=False, tile=None, rows=None, planar=1, photometric=1, bits=None, sample=1,
         compression=1, orientation=1, extra=(), packed=None):
    """A TIFF of one page by hand; planes: [h, w, samples]."""
    h, w, samples = planes.shape
    kind = planes.dtype.newbyteorder(order)
    bits = bits or planes.dtype.itemsize * 8
    squeeze = zlib.compress if compression != 1 else bytes
    parts = [planes[..., k:k + 1] for k in range(samples)] if planar == 2 else [planes]
    pieces = []
    for part in parts:
        if tile:
            th, tw = tile
            for y in range(0, h, th):
                for x in range(0, w, tw):
                    full = np.zeros((th, tw, part.shape[2]), kind)
                    cut = part[y:y + th, x:x + tw]
                    full[:cut.shape[0], :cut.shape[1]] = cut
                    pieces.append(squeeze(full.tobytes()))
        else:
            for y in range(0, h, rows or h):
                cut = part[y:y + (rows or h)]
                pieces.append(squeeze(packed(cut) if packed else cut.astype(kind).tobytes()))
    head = 16 if big else 8
    body, offsets = b"", []
    for piece in pieces:
        offsets.append(head + len(body))
        body += piece + b"\0" * (len(piece) % 2)
    word, sizes = "Q" if big else "I", [len(p) for p in pieces]
    tags = [(256, "I", [w]), (257, "I", [h]), (258, "H", [bits] * samples), (259, "H", [compression]),
            (262, "H", [photometric]), (274, "H", [orientation]), (277, "H", [samples]), (284, "H", [planar]),
            (339, "H", [sample] * samples), *extra]
    if tile:
        tags += [(322, "I", [tile[1]]), (323, "I", [tile[0]]), (324, word, offsets), (325, word, sizes)]
    else:
        tags += [(273, word, offsets), (278, "I", [rows or h]), (279, word, sizes)]
    entries, inline = b"", 8 if big else 4
    for number, letter, values in sorted(tags):
        data = struct.pack(order + str(len(values)) + letter, *values)
        if len(data) > inline:
            place = head + len(body)
            body += data + b"\0" * (len(data) % 2)
            data = struct.pack(order + word, place)
        entries += struct.pack(order + "HH" + word, number, {"H": 3, "I": 4, "Q": 16}[letter], len(values))
        entries += data.ljust(inline, b"\0")
    directory = head + len(body)
    body += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + struct.pack(order + word, 0)
    mark = b"II" if order == "<" else b"MM"
    if big:
        return mark + struct.pack(order + "HHHQ", 43, 8, 0, directory) + body
    return mark + struct.pack(order + "HI", 42, directory) + body


def pack(bits):
    def rows(cut):
        flat = b""
        for row in cut[..., 0]:
            text = "".join(format(int(v), f"0{bits}b") for v in row)
            text += "0" * (-len(text) % 8)
            flat += int(text, 2).to_bytes(len(text) // 8, "big")
        return flat
    return rows


def by_hand(folder):
    """TIFFs of every layout: byte orders, BigTIFF, strips, tiles, planes, compression, packed bits, orientations."""
    path, cases = os.path.join(folder, "hand.tif"), 0

    def case(expected, planes, name, **options):
        nonlocal cases
        with open(path, "wb") as file:
            file.write(tiff(planes, **options))
        same(path, expected, (name, options))
        cases += 1

    for order in "<>":
        for big in (False, True):
            for layout in ({}, {"rows": 5}, {"tile": (16, 32)}):
                for compression in (1, 8):
                    options = dict(order=order, big=big, compression=compression, **layout)
                    gray, rgb = u8(H, W, 1), u8(H, W, 3)
                    wide, rich = u16(H, W, 1), u16(H, W, 4)
                    real = rng.standard_normal((H, W, 1)).astype(np.float32)
                    case(gray[..., 0], gray, "gray", **options)
                    case(255 - gray[..., 0], gray, "white", photometric=0, **options)
                    case(wide[..., 0], wide, "wide", **options)
                    case(65535 - wide[..., 0], wide, "white", photometric=0, **options)
                    case(real[..., 0], real, "real", sample=3, **options)
                    case(luminance(rgb), rgb, "rgb", photometric=2, **options)
                    case(luminance(rgb), rgb, "planes", photometric=2, planar=2, **options)
                    alpha = [(338, "H", [2])]
                    case(luminance(rich), rich, "rgba", photometric=2, extra=alpha, **options)
                    case(luminance(rich), rich, "rgba planes", photometric=2, planar=2, extra=alpha, **options)
                    colours = u16(3, 256)
                    table = luminance((colours.T >> 8).astype(np.uint8))
                    palette = [(320, "H", colours.ravel())]
                    case(table[gray[..., 0]], gray, "palette", photometric=3, extra=palette, **options)
    for bits in (1, 2, 4, 10, 12, 14):
        values = rng.integers(0, 2 ** bits, (H, W, 1)).astype(np.uint16)
        expected = values[..., 0] if bits > 8 else (values[..., 0] * (255 // (2 ** bits - 1))).astype(np.uint8)
        for rows in (None, 7):
            case(expected, values, "packed", bits=bits, rows=rows, packed=pack(bits))
    values = rng.integers(0, 4096, (H, W, 1)).astype(np.uint16)
    case(4095 - values[..., 0], values, "packed white", bits=12, photometric=0, packed=pack(12))
    for orientation, turn in ((2, np.fliplr), (3, lambda x: x[::-1, ::-1]), (4, np.flipud)):
        wide = u16(H, W, 1)
        case(turn(wide[..., 0]), wide, "orientation", orientation=orientation)
    for options, word in (({"orientation": 6}, "orientation"), ({"sample": 2}, "sample format"),
                          ({"photometric": 5}, "photometric"), ({"bits": 7}, "bits")):
        with open(path, "wb") as file:
            file.write(tiff(u8(H, W, 1), **options))
        found = read(path)
        assert isinstance(found, str) and found.startswith("error -4") and word in found and path in found, found
    return cases


def portable(folder):
    path, wide = os.path.join(folder, "map.pgm"), rng.integers(0, 1024, (H, W), dtype=np.uint16)
    rgb, gray = rng.integers(0, 4001, (H, W, 3), dtype=np.uint16), u8(H, W)
    for data, expected, bits in (
            (b"P5 # a comment\n%d\n#another\n%d 1023\n" % (W, H) + wide.astype(">u2").tobytes(), wide, 10),
            (b"P2\n%d %d\n1023\n" % (W, H) + b"\n".join(b"%d" % v for v in wide.ravel()), wide, 10),
            (b"P2 %d %d 255 " % (W, H) + b" ".join(b"%d" % v for v in gray.ravel()), gray, 8),
            (b"P6\n%d %d\n4000\n" % (W, H) + rgb.astype(">u2").tobytes(), luminance(rgb), 12)):
        with open(path, "wb") as file:
            file.write(data)
        same(path, expected, data[:20], bits=bits)
    return 4


def bitmaps(folder):
    """Top-down, 32 bits with masks, the old header, palettes that are short, RLE."""
    path, cases = os.path.join(folder, "hand.bmp"), 0

    def bmp(bits, rows, height, compression=0, palette=b"", used=0):
        offset = 54 + len(palette)
        return (b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset)
                + struct.pack("<IiiHHIIiiII", 40, W, height, 1, bits, compression, len(rows), 0, 0, used, 0)
                + palette + rows)

    gray, rgba = u8(H, W), u8(H, W, 4)
    padded = np.zeros((H, (W + 3) // 4 * 4), np.uint8)
    padded[:, :W] = gray
    ramp = b"".join(bytes((i, i, i, 0)) for i in range(256))
    masks = struct.pack("<III", 0xff0000, 0xff00, 0xff)
    four = np.minimum(gray >> 4, 9)
    nibbles = np.zeros((H, 28), np.uint8)
    nibbles[:, :27] = (np.pad(four, ((0, 0), (0, 1)))[:, 0::2] << 4) | np.pad(four, ((0, 0), (0, 1)))[:, 1::2]
    few, many = u8(10, 4), u8(256, 4)
    old = b"BM" + struct.pack("<IHHI", 0, 0, 0, 26 + 768) + struct.pack("<IHHHH", 12, W, H, 1, 8)
    old += b"".join(bytes((i, i, i)) for i in range(256)) + padded[::-1].tobytes()
    for data, expected in ((bmp(8, padded.tobytes(), -H, palette=ramp), gray),
                           (bmp(8, padded[::-1].tobytes(), H, palette=ramp), gray),
                           (bmp(8, padded.tobytes(), -H, palette=many.tobytes()), luminance(many[:, 2::-1])[gray]),
                           (bmp(32, rgba.tobytes(), -H), luminance(rgba[..., 2::-1])),
                           (bmp(32, rgba[::-1].tobytes(), H, 3, masks), luminance(rgba[..., 2::-1])),
                           (bmp(4, nibbles.tobytes(), -H, palette=few.tobytes(), used=10),
                            luminance(few[:, 2::-1])[four]),
                           (old, gray)):
        with open(path, "wb") as file:
            file.write(data)
        same(path, expected, ("bmp", cases))
        cases += 1
    for data, word in ((bmp(8, padded.tobytes(), H, 1, ramp), "RLE"), (bmp(16, padded.tobytes() * 2, H), "16 bits"),
                       (bmp(8, padded.tobytes(), H, palette=few.tobytes(), used=10), "beyond the 10")):
        with open(path, "wb") as file:
            file.write(data)
        found = read(path)
        assert isinstance(found, str) and word in found and path in found, found
    return cases


def headerless(folder):
    path = os.path.join(folder, "data.raw")
    wide, real, gray = u16(3, H, W), rng.standard_normal((2, H, W)).astype(np.float32), u8(2, H, W)
    padded = np.zeros((2, H, W + 11), np.uint8)
    padded[..., :W] = gray
    spaced = b"".join(b"head" * 3 + page.tobytes() for page in wide.astype(">u2"))
    far = np.zeros((H, W + 9000), np.uint8)
    far[:, :W] = gray[0]
    for data, expected, raw in ((wide.tobytes(), list(wide), (0, H, W, 0, 0, "uint16", 0)),
                                (b"x" * 7 + real.astype(">f4").tobytes(), list(real), (7, H, W, 0, 0, "float32", 1)),
                                (padded.tobytes(), list(gray), (0, H, W, W + 11, 0, "uint8", 0)),
                                (far.tobytes(), gray[0], (0, H, W, W + 9000, 0, "uint8", 0)),
                                (spaced, list(wide), (12, H, W, 0, 12 + H * W * 2, "uint16", 1))):
        with open(path, "wb") as file:
            file.write(data)
        same(path, expected, ("raw", raw), raw=raw, pages=len(expected) if isinstance(expected, list) else 1)
    with open(path, "wb") as file:
        file.write(wide.tobytes() + b"more")
    assert "left over" in read(path, (0, H, W, 0, 0, "uint16", 0))
    assert "cannot be in" in read(path, (0, H * 100, W, 0, 0, "uint16", 0))
    return 5


def written(folder):
    """What weir writes, PIL reads; and weir itself."""
    pixels, cases = os.path.join(folder, "pixels"), 0
    for array in (u8(H, W), u16(H, W), rng.standard_normal((H, W)).astype(np.float32), u16(300, 400)):
        array.tofile(pixels)
        for extension in ("tif", "png", "pgm"):
            path = os.path.join(folder, "written." + extension)
            lines = run("write", path, array.dtype.name, *array.shape, pixels)
            if array.dtype == np.float32 and extension != "tif":
                assert "float32" in lines[0], lines
                continue
            assert not lines, lines
            same(path, array, ("written", path))
            assert np.array_equal(np.asarray(Image.open(path)), array), path
            cases += 1
    assert not [name for name in os.listdir(folder) if name.startswith(".part")]
    assert "cannot create" in run("write", os.path.join(folder, "none", "x.tif"), "uint8", 2, 2, pixels)[0]
    return cases


with tempfile.TemporaryDirectory(prefix="weir-image-", dir=os.environ.get("TMPDIR")) as folder:
    done = [check(folder) for check in (with_pil, by_hand, portable, bitmaps, headerless, written)]
    print("read and compared:", dict(zip(("PIL", "TIFF", "PGM", "BMP", "raw", "written"), done)))

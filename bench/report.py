#!/usr/bin/python3
"""Renders docs/performance.md from what bench/run measured.

  bench/report.py [--from FOLDER]   copy FOLDER/NAME.csv to docs/performance/, then write the regions and plots anew
  bench/report.py --check           do they agree with the CSVs? Faults, one a line, and exit status 1

The prose is docs/performance.md itself. What stands between `<!-- bench: WHAT -->` and `<!-- end -->` is made from docs/performance/*.csv:

  targets                 every figure that has a target; those that differ in the case alone are one row
  machine                 where and when each was measured
  NAME table OPTIONS      rows=case|system|metric (case), columns=(system), metric=(median, with p99 in brackets)
  NAME plot OPTIONS       docs/performance/NAME.png: kind=dots|lines (report_plot.py)
  NAME value case= system= metric=   one figure with its unit, within a line

OPTIONS also choose and order: cases=, systems= and metrics= take patterns (*) separated by | ; quote what has spaces. A plot carries a
digest of what it was made of, which --check compares: no picture is older than its figures."""
import argparse
import csv
import fnmatch
import hashlib
import os
import re
import shlex
import shutil
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REGION = re.compile(r"(<!-- bench: (.*?) -->)(.*?)(<!-- end -->)", re.S)
OPTIONS = {"rows", "columns", "metric", "cases", "systems", "metrics", "case", "system", "kind", "x", "xlabel", "ylabel", "per", "name"}


class Fault(Exception):
    pass


# ---- results ----

class Results:
    """A CSV: facts of the run, and values by (case, system, metric) in the order in which they were printed."""

    def __init__(self, path):
        self.facts, self.values = {}, {}
        with open(path, encoding="utf-8", newline="") as file:
            lines = file.readlines()
        for line in lines:
            if line.startswith("#: "):
                key, _, value = line[3:].rstrip("\n").partition(" = ")
                self.facts[key] = value
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        for row in rows:
            key = row["case"], row["system"], row["metric"]
            if key in self.values:
                raise Fault(f"{', '.join(key)} is there twice")
            self.values[key] = float(row["value"]), row["unit"]

    def targets(self):
        """(case, figure, at_most|at_least, limit, unit, met)"""
        for (case, system, metric), (limit, unit) in self.values.items():
            if system == "target":
                figure, _ = self.values.get((case, "weir", "figure"), (None, None))
                if figure is None:
                    raise Fault(f"a target without its figure: {case}")
                yield case, figure, metric, limit, unit, figure <= limit if metric == "at_most" else figure >= limit


def load(folder, faults):
    names, every = os.listdir(folder) if os.path.isdir(folder) else [], {}
    for name in sorted(name[:-4] for name in names if name.endswith(".csv")):
        try:
            every[name] = Results(os.path.join(folder, name + ".csv"))
        except (Fault, ValueError, KeyError, TypeError) as fault:
            faults.append(f"docs/performance/{name}.csv: {fault}")
    return every


def chosen(values, patterns):
    """Those that match a pattern, in the order of the patterns; all when there is none. What a target is about is not among them."""
    if patterns is None:
        return values
    found = []
    for pattern in patterns.split("|"):
        found += [v for v in values if fnmatch.fnmatchcase(v, pattern) and v not in found]
    return found


def selection(results, options):
    """The cases, systems and metrics that options choose, without targets and their figures, which have a table of their own."""
    keys = [key for key in results.values if key[1] != "target" and key[2] != "figure"]
    axes = [list(dict.fromkeys(key[i] for key in keys)) for i in range(3)]
    return {name: chosen(axis, options.get(name + "s")) for name, axis in zip(("case", "system", "metric"), axes)}


# ---- tables ----

def figure(x):
    """Three digits that mean something; thousands apart."""
    if x == 0 or x != x:
        return f"{x:g}"
    digits = max(0, 2 - int(f"{x:e}".split("e")[1]))
    text = f"{float(f'{x:.3g}'):,.{min(digits, 9)}f}".replace(",", " ")
    return text.rstrip("0").rstrip(".") if "." in text and x == int(x) else text


def table_text(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def cell(results, key):
    """The figure and its unit; with p99 when the figure is a median."""
    value, unit = results.values[key]
    p99 = results.values.get((*key[:2], "p99")) if key[2] == "median" else None
    return figure(value) + (f" ({figure(p99[0])})" if p99 else ""), unit


def cells_of(name, results, axes, rows, columns):
    """(row, column): (text, unit)"""
    cells = {}
    for key in results.values:
        at = dict(zip(("case", "system", "metric"), key))
        if not all(at[axis] in axes[axis] for axis in axes):
            continue
        if (at[rows], at[columns]) in cells:
            raise Fault(f"{name} table: more than one figure for {at[rows]}, {at[columns]}: choose by cases=, systems= or metric=")
        cells[at[rows], at[columns]] = cell(results, key)
    if not cells:
        raise Fault(f"{name} table: nothing in the CSV is chosen")
    return cells


def with_unit(text, unit):
    return ", ".join(part for part in (text, unit) if part)


def table(name, results, options):
    """Units stand once for the table, else in the columns' or the rows' heads, else in each cell."""
    rows, columns = options.get("rows", "case"), options.get("columns", "system")
    axes = selection(results, options)
    if "metric" not in (rows, columns):
        default = "median" if "median" in axes["metric"] else next(iter(axes["metric"]), "")
        axes["metric"] = [options.get("metric", default)]
    cells = cells_of(name, results, axes, rows, columns)
    rs = [r for r in axes[rows] if any(at[0] == r for at in cells)]
    cs = [c for c in axes[columns] if any(at[1] == c for at in cells)]
    of_row = {r: {unit for at, (_, unit) in cells.items() if at[0] == r} for r in rs}
    of_column = {c: {unit for at, (_, unit) in cells.items() if at[1] == c} for c in cs}
    one = len(set().union(*of_row.values())) == 1
    in_columns = not one and all(len(units) == 1 for units in of_column.values())
    in_rows = not one and not in_columns and all(len(units) == 1 for units in of_row.values())
    corner = axes["metric"][0] if "metric" not in (rows, columns) else ""
    head = [with_unit(corner, next(iter(of_row[rs[0]]))) if one else corner]
    head += [with_unit(c, next(iter(of_column[c]))) if in_columns else c for c in cs]
    body = []
    for r in rs:
        line = [with_unit(r, next(iter(of_row[r]))) if in_rows else r]
        for c in cs:
            text, unit = cells.get((r, c), ("", ""))
            line.append(text if one or in_rows or in_columns else f"{text} {unit}".strip())
        body.append(line)
    return table_text(head, body)


def range_of(values):
    least, most = figure(min(values)), figure(max(values))
    return least if least == most else f"{least} to {most}"


def targets(every):
    """Rows that differ in what stands before the last comma only, three or more with one limit, are said together."""
    body, met_in_all, count = [], 0, 0
    for name, results in every.items():
        groups = {}
        for t in results.targets():
            groups.setdefault((t[0].rpartition(", ")[2] if ", " in t[0] else "", t[2], t[3], t[4]), []).append(t)
        for (tail, metric, limit, unit), found in groups.items():
            parts = [found] if tail and len(found) > 2 else [[t] for t in found]
            for part in parts:
                met, missed = sum(t[5] for t in part), [t[0].rpartition(", ")[0] for t in part if not t[5]]
                verdict = "met" if not missed else "**missed**" if not met else "**missed**: " + "; ".join(missed)
                text = f"{tail} ({len(part)} cases)" if len(part) > 1 else part[0][0]
                body.append([name, text, f"{range_of([t[1] for t in part])} {unit}".strip(),
                             f"{metric.replace('_', ' ')} {limit:g} {unit}".strip(), verdict])
                met_in_all, count = met_in_all + met, count + len(part)
    if not count:
        return "No target was measured yet."
    return f"{met_in_all} of {count} are met.\n\n" + table_text(["", "figure", "measured", "target", ""], body)


def machine(every):
    """Facts that all share, once; what differs, per benchmark."""
    if not every:
        return "Nothing was measured yet."
    own = "command", "date", "load at the start", "load at the end", "seconds"
    keys = list(dict.fromkeys(key for r in every.values() for key in r.facts if key not in own))
    body = []
    for key in keys:
        said = {}
        for name, r in every.items():
            said.setdefault(r.facts.get(key, "unknown"), []).append(name)
        most = max(said, key=lambda value: len(said[value]))
        body.append([key, most + "".join(f"; {', '.join(names)}: {value}" for value, names in said.items() if value != most)])
    runs = [[f"`{r.facts.get('command', name)}`"] + [r.facts.get(key, "") for key in own[1:]] for name, r in every.items()]
    return table_text(["machine", ""], body) + "\n\n" + table_text(["", "date", "load at the start (1, 5, 15 min)", "at the end", "seconds"], runs)


# ---- plots ----

def plot_digest(results, options, text):
    axes = selection(results, options)
    used = [f"{key} {value}" for key, value in results.values.items()
            if key[0] in axes["case"] and key[1] in axes["system"] and key[2] != "figure"]
    return hashlib.sha256("\n".join([text, *used]).encode()).hexdigest()


def digest_in(path):
    """The text chunk `Digest` of a PNG (https://www.w3.org/TR/png-3/#11tEXt), or None."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    at = 8
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"tEXt" and data[at + 8:at + 15] == b"Digest\0":
            return data[at + 15:at + 8 + size].decode("latin-1")
        at += 12 + size
    return None


def plot(name, results, options, text, docs, check):
    file = f"performance/{options.get('name', name)}.png"
    path, digest = os.path.join(docs, file), plot_digest(results, options, text)
    if digest_in(path) != digest:
        if check:
            raise Fault(f"docs/{file} was not made of docs/performance/{name}.csv: bench/run report")
        try:
            import report_plot
        except ImportError as missing:
            print(f"bench/report.py: docs/{file} is left as it is: {missing} (Debian: python3-matplotlib)", file=sys.stderr)
        else:
            report_plot.draw(name, results, selection(results, options), options, path, digest)
    return f"![{name}]({file})"


# ---- the page ----

def region(text, every, docs, check):
    if text == "targets":
        return f"\n{targets(every)}\n"
    if text == "machine":
        return f"\n{machine(every)}\n"
    name, kind, *words = shlex.split(text)
    options = dict(word.split("=", 1) for word in words)
    unknown = set(options) - OPTIONS
    if kind not in ("table", "plot", "value") or unknown:
        raise Fault(f"docs/performance.md: `{text}`: unknown: {', '.join(unknown) or kind}")
    results = every.get(name)
    if not results:
        return f"\n*Not measured yet: `bench/run {name}`.*\n"
    if kind == "table":
        return f"\n{table(name, results, options)}\n"
    if kind == "plot":
        return f"\n{plot(name, results, options, text, docs, check)}\n"
    key = tuple(options.get(axis) for axis in ("case", "system", "metric"))
    if key not in results.values:
        raise Fault(f"docs/performance.md: `{text}`: no such value")
    value, unit = results.values[key]
    return f"{figure(value)} {unit}".strip()


def render(page, every, docs, check, faults):
    def anew(match):
        try:
            return match[1] + region(match[2], every, docs, check) + match[4]
        except Fault as fault:
            faults.append(str(fault))
            return match[0]
    if page.count("<!-- bench:") != page.count("<!-- end -->"):
        faults.append("docs/performance.md: a region has no end")
    return REGION.sub(anew, page)


def main():
    parser = argparse.ArgumentParser(usage="bench/report.py [--from FOLDER] [--check] [--docs FOLDER]")
    parser.add_argument("--from", dest="source", metavar="FOLDER")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--docs", default=os.path.join(HERE, "..", "docs"))
    options = parser.parse_args()
    kept, path, faults = os.path.join(options.docs, "performance"), os.path.join(options.docs, "performance.md"), []
    if options.source and not options.check:
        os.makedirs(kept, exist_ok=True)
        for name in sorted(os.listdir(options.source)):
            if name.endswith(".csv"):
                shutil.copyfile(os.path.join(options.source, name), os.path.join(kept, name))
    with open(path, encoding="utf-8") as file:
        page = file.read()
    new = render(page, load(kept, faults), options.docs, options.check, faults)
    if options.check and new != page:
        old = page.splitlines()
        differs = next((i for i, line in enumerate(new.splitlines()) if i >= len(old) or line != old[i]), len(old) - 1)
        faults.append(f"docs/performance.md:{differs + 1}: not what the CSVs give: bench/run report")
    elif new != page:
        with open(path, "w", encoding="utf-8") as file:
            file.write(new)
    print("\n".join(faults), end="\n" if faults else "", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

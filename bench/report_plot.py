"""The plots of docs/performance.md (report.py), made with matplotlib.

  kind=dots   cases from top to bottom, a mark per system at the median (or metric=), a whisker from the least to p99;
              with rows=system the other way round
  kind=lines  x is the number that the pattern x= finds in a case (default: the first number), a line per system and rest of the case

Axes are logarithmic where values span more than a factor of ten. A system has one colour in all plots; its threads or processes
differ by the mark."""
import re

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot, ticker  # noqa: E402: after the back end is chosen

WIDE = 10.0  # largest over smallest value, from which an axis is logarithmic
# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), which most colour-blind people can tell apart. The first that matches.
COLOURS = [
    (r"weir|node\b|begin", "#0072B2"),
    (r"limit|plain|memcpy|futex|alone|fftw|loop|triad|stream|by hand|hand", "#555555"),
    (r"awake|numexpr|\bread", "#999999"),
    (r"openmp|gomp|omp", "#E69F00"),
    (r"tbb|deisa", "#009E73"),
    (r"starpu|ray\b|openpiv", "#CC79A7"),
    (r"dask|mpi|fluidimage|numpy", "#D55E00"),
    (r"inline|acquire|transit", "#56B4E9"),
]
SPARE = ["#0072B2", "#D55E00", "#009E73", "#8C564B"]
MARKS = "osD^vPX*<>"


def colour(system, spare):
    for pattern, value in COLOURS:
        if re.search(pattern, system, re.I):
            return value
    return spare.setdefault(system, SPARE[len(spare) % len(SPARE)])


def styles(systems):
    """(colour, mark) per system: those of one colour have different marks."""
    spare, used, found = {}, {}, {}
    for system in systems:
        c = colour(system, spare)
        found[system] = c, MARKS[used.get(c, 0) % len(MARKS)]
        used[c] = used.get(c, 0) + 1
    return found


def plain_ticks(axis, values, logarithmic):
    """Numbers as people write them, instead of powers of ten where these say less."""
    if logarithmic:
        decades = max(values) / min(values)
        axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if decades < 300 else (1,)))
        axis.set_minor_formatter(ticker.NullFormatter())
    else:
        axis.set_major_locator(ticker.MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:,.10g}".replace(",", " ") if abs(x) >= 1e-4 or x == 0 else f"{x:g}"))


def is_wide(values):
    return bool(values) and min(values) > 0 and max(values) / min(values) > WIDE


def label_of(results, metric, case_systems):
    units = {results.values[c, s, metric][1] for c, s in case_systems if (c, s, metric) in results.values}
    unit = units.pop() if len(units) == 1 else ""
    better = "more is better" if unit.endswith("/s") else "less is better" if re.match(r"[num]?s\b", unit) else ""
    return ", ".join(part for part in (metric, unit, better) if part)


def dots(results, axes, metric, options):
    by_system = options.get("rows") == "system"

    def value(row, mark, of, otherwise=None):
        return results.values.get((mark, row, of) if by_system else (row, mark, of), (otherwise,))[0]
    rows, marks = (axes["system"], axes["case"]) if by_system else (axes["case"], axes["system"])
    rows = [r for r in rows if any(value(r, m, metric) is not None for m in marks)]
    marks = [m for m in marks if any(value(r, m, metric) is not None for r in rows)]
    style, values = styles(marks), []
    figure, ax = pyplot.subplots(figsize=(8, 1.3 + 0.17 * len(rows) * max(2.2, len(marks))))
    for i, row in enumerate(rows):
        here = [m for m in marks if value(row, m, metric) is not None]
        if i % 2:
            ax.axhspan(i - 0.5, i + 0.5, color="0.95", zorder=0)
        for k, mark in enumerate(here):
            y, x = i + 0.76 * ((k + 0.5) / len(here) - 0.5), value(row, mark, metric)
            ends = [value(row, mark, end, x) if metric == "median" else x for end in ("min", "p99")]
            ax.plot(ends, [y, y], color=style[mark][0], linewidth=1.4, alpha=0.55, zorder=2)
            ax.plot([x], [y], style[mark][1], color=style[mark][0], markersize=5.5, zorder=3)
            values += [x, *ends]
    for mark in marks if len(marks) > 1 else []:
        ax.plot([], [], style[mark][1], color=style[mark][0], label=mark)
    logarithmic = is_wide(values)
    if logarithmic:
        ax.set_xscale("log")
    else:
        ax.set_xlim(left=0)
    plain_ticks(ax.xaxis, values, logarithmic)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.grid(axis="x", color="0.85", zorder=1)
    whisker = "; bars from the least to p99" if metric == "median" else ""
    ax.set_xlabel(options.get("xlabel", label_of(results, metric, [(m, r) if by_system else (r, m) for r in rows for m in marks])) + whisker)
    return figure, ax


def lines(results, axes, metric, options):
    pattern, series = re.compile(options.get("x", r"([0-9.]+)")), {}
    for case in axes["case"]:
        found = pattern.search(case)
        if not found:
            continue
        rest = (case[:found.start()] + case[found.end():]).strip(" ,-_")
        for system in axes["system"]:
            if (case, system, metric) in results.values:
                series.setdefault((system, rest), []).append((float(found[1]), case))
    style = styles(dict.fromkeys(system for system, _ in series))
    rests = list(dict.fromkeys(rest for _, rest in series))
    figure, ax = pyplot.subplots(figsize=(8, 4.6))
    xs, ys = [], []
    for (system, rest), points in series.items():
        points.sort()
        x = [p[0] for p in points]
        y = [results.values[case, system, metric][0] for _, case in points]
        name = system if len(rests) == 1 else f"{system}, {rest}" if rest else system
        drawn = ("-", "--", ":", "-.")[rests.index(rest) % 4]
        ax.plot(x, y, drawn, marker=style[system][1], color=style[system][0], markersize=5, linewidth=1.5, label=name)
        p99 = [results.values.get((case, system, "p99"), (None,))[0] for _, case in points]
        if metric == "median" and len(rests) == 1 and None not in p99:
            ax.fill_between(x, y, p99, color=style[system][0], alpha=0.12, linewidth=0)
        xs, ys = xs + x, ys + y
    for axis, scale, values in ((ax.xaxis, ax.set_xscale, xs), (ax.yaxis, ax.set_yscale, ys)):
        if is_wide(values):
            scale("log")
        plain_ticks(axis, values, is_wide(values))
    if len(set(xs)) < 10:
        ax.set_xticks(sorted(set(xs)), [f"{x:g}" for x in sorted(set(xs))])
        ax.set_xticks([], minor=True)
    if not is_wide(ys):
        ax.set_ylim(bottom=0)
    ax.grid(color="0.88")
    ax.set_xlabel(options.get("xlabel", "case"))
    shade = " (shaded up to p99)" if metric == "median" and len(rests) == 1 else ""
    case_systems = [(case, system) for (system, _), points in series.items() for _, case in points]
    ax.set_ylabel(options.get("ylabel", label_of(results, metric, case_systems)) + shade)
    return figure, ax


def draw(name, results, axes, options, path, digest):
    metric = options.get("metric", "median" if "median" in axes["metric"] else next(iter(axes["metric"]), ""))
    pyplot.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
    figure, ax = (lines if options.get("kind") == "lines" else dots)(results, axes, metric, options)
    handles, labels = ax.get_legend_handles_labels()
    columns = 1 + (max(map(len, labels), default=0) < 48) + (max(map(len, labels), default=0) < 24)
    if labels:
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=columns, frameon=False, fontsize=9)
    machine = results.facts.get("cpu", ""), results.facts.get("date", "")
    ax.set_title("  ".join([f"bench/run {name}", *machine]), fontsize=8, color="0.45", loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=150, bbox_inches="tight", metadata={"Digest": digest, "Software": None})
    pyplot.close(figure)

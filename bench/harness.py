"""What benchmarks in Python share: the lines that those in C print (harness.h), `bench,case,system,metric,value,unit`."""
import csv
import sys


class Bench:
    def __init__(self, name):
        self.name = name
        self.lines = csv.writer(sys.stdout, lineterminator="\n")

    def value(self, what, system, metric, value, unit=""):
        self.lines.writerow([self.name, what, system, metric, f"{value:.6g}", unit])
        sys.stdout.flush()

    def summary(self, what, system, samples, unit):
        """Minimum, median, p90, p99 and maximum, by nearest rank as in harness.c. Returns the median."""
        s = sorted(samples)
        at = {"min": 0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1}
        for metric, q in at.items():
            self.value(what, system, metric, s[int(q * (len(s) - 1) + 0.5)], unit)
        return s[int(0.5 * (len(s) - 1) + 0.5)]

    @staticmethod
    def measured(path, what, system, metric):
        """What an earlier program of the benchmark measured, from the CSV that bench/run writes ({csv}); None: nothing."""
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.reader(line for line in file if not line.startswith("#")))
        return next((float(row[4]) for row in rows if row[1:4] == [what, system, metric]), None)

    def note(self, text):
        print(f"# {self.name}: {text}", flush=True)

    def at_most(self, what, value, most, unit=""):
        self._target(what, value, "at_most", most, unit, value <= most)

    def at_least(self, what, value, least, unit=""):
        self._target(what, value, "at_least", least, unit, value >= least)

    def _target(self, what, value, metric, limit, unit, met):
        self.value(what, "weir", "figure", value, unit)
        self.value(what, "target", metric, limit, unit)
        self.note(f"{what}: {value:.4g} {unit}, target {metric} {limit:.4g}: {'met' if met else 'MISSED'}")

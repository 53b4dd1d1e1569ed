"""Compare the final metrics of a run in an MLflow file store with those that were recorded.

Usage: compare.py MLRUNS METRICS_JSON. Exit code 0 where all are equal, 1 where one differs.
"""

import json
import math
import sys
from pathlib import Path


def final(path: Path) -> float:
    """The latest value of a metric's file, which has lines of time, value and step; as MLflow chooses it."""
    points = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return max((int(point[2]), int(point[0]), float(point[1])) for point in points)[2]


store, expected = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
found = {path.name: final(path) for path in store.glob("*/*/metrics/*") if path.is_file()}
differ = []
print(f"\n{'Metric':<28}{'recorded':<26}{'now':<26}")
for name, text in expected["metrics"].items():
    old, new = float(text), found.get(name)
    same = new is not None and (old == new or (math.isnan(old) and math.isnan(new)))
    word = "equal" if same else "differs"
    if not same and name in expected["not_compared"]:
        word = "not compared"
    elif not same:
        differ.append(name)
    print(f"{name:<28}{old!r:<26}{new!r:<26}{word}")
is_compared = set(expected["metrics"]) - set(expected["not_compared"])
print(
    "\nNOT REPRODUCED: " + ", ".join(differ)
    if differ
    else "\nREPRODUCED"
    if is_compared
    else "\nNOTHING TO COMPARE"
)
sys.exit(bool(differ))

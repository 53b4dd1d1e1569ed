"""A trial that sleeps for its own number of seconds, and says when it began and ended.

python uneven.py TRIAL SCALE
"""

import time

BEGAN = time.time()

import json  # noqa: E402 (the clock comes first)
import os  # noqa: E402
import sys  # noqa: E402

SECONDS = (
    12.0, 6.5, 9.0, 14.5, 5.0, 11.0, 8.5, 13.0, 7.0, 10.0,
    15.0, 5.5, 9.5, 12.5, 6.0, 13.5, 8.0, 10.5, 14.0, 9.0,
)  # fmt: skip

trial, scale = int(sys.argv[1]), float(sys.argv[2])
time.sleep(SECONDS[trial % len(SECONDS)] * scale)
if "MLFLOW_RUN_ID" in os.environ:
    import mlflow

    mlflow.log_metric("score", -abs(trial - 7))
print(json.dumps({"trial": trial, "began": BEGAN, "ended": time.time()}), flush=True)  # noqa: T201

"""A trial that is worse than those before it, and says when it has logged that and when it was told to stop.

    python unpromising.py PLACE

The first GOOD are good ones, which end at once.
"""

import json
import sys
import time

import mlflow

GOOD = 5

if int(sys.argv[1]) < GOOD:
    for step in range(3):
        mlflow.log_metric("score", 1 + step, step=step)
    sys.exit()
mlflow.log_metric("score", 1, step=0)
time.sleep(1)
logged = time.time()
mlflow.log_metric("score", -1, step=1)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print(json.dumps({"logged": logged, "stopped": time.time()}), flush=True)  # noqa: T201
    raise

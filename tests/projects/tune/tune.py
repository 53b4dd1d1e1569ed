"""A training whose score is known: the highest is that of x = 2, depth = 5, kind = a."""

import sys
import time

import mlflow

x, depth, kind = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
seconds, steps, fails = float(sys.argv[4]), int(sys.argv[5]), float(sys.argv[6])
if x >= fails:
    sys.exit(3)
score = -((x - 2) ** 2) - (depth - 5) ** 2 - (kind == "b")
for step in range(steps):
    time.sleep(seconds / steps)
    mlflow.log_metric("score", score - (steps - 1 - step), step=step)
mlflow.log_metric("size", depth)

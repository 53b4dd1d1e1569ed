import sys

import mlflow
import numpy as np

alpha, l1_ratio = float(sys.argv[1]), float(sys.argv[2])
table = np.loadtxt(sys.argv[3], delimiter=",", skiprows=1)
x, y = table[:, :-1], table[:, -1]
weights, *_ = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)

with mlflow.start_run():
    mlflow.log_metric("rmse", float(np.sqrt(np.mean((np.c_[x, np.ones(len(x))] @ weights - y) ** 2))))
    mlflow.log_metric("penalty", alpha * l1_ratio)
    print("python", sys.version_info[:2], "in", sys.prefix)

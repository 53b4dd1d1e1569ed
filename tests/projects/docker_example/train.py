import argparse
import os
import sys

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float)
parser.add_argument("--l1-ratio", type=float)
args = parser.parse_args()

with mlflow.start_run() as run:
    mlflow.log_param("language", os.environ["LANGUAGE"])
    for step in range(3):
        mlflow.log_metric("rmse", args.alpha + args.l1_ratio - step, step=step)
    mlflow.log_text("scheme " + mlflow.get_tracking_uri().partition(":")[0], "scheme.txt")
    print("logged to", run.info.run_id)

# MLflow's client has ended the run by now, as FINISHED.
sys.exit(4 if args.l1_ratio > 1 else 0)

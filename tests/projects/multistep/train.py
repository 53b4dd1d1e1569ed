import argparse

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
parser.add_argument("--max-iter", type=int)
args = parser.parse_args()

with mlflow.start_run():
    mlflow.log_metric("loss", args.rows / args.max_iter)

import sys

import mlflow

mlflow.set_experiment("steps of somebody")
with mlflow.start_run():
    mlflow.log_metric("rows", int(sys.argv[1]))

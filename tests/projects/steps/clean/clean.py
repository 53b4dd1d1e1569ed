import mlflow

with mlflow.start_run(run_name="cleaning"):
    mlflow.log_metric("clean", 1)

"""One run that starts others, as in MLflow's multistep_workflow; the steps share its environment."""

import argparse

import mlflow

parser = argparse.ArgumentParser()
parser.add_argument("--max-iter")
args = parser.parse_args()


def step(entry_point: str, parameters: dict[str, object]) -> mlflow.entities.Run:
    print("step", entry_point)
    submitted = mlflow.run(".", entry_point, parameters=parameters, env_manager="local")
    return mlflow.MlflowClient().get_run(submitted.run_id)


with mlflow.start_run():
    loaded = step("load_raw_data", {})
    trained = step("train", {"rows": int(loaded.data.metrics["rows"]), "max_iter": args.max_iter})
    mlflow.log_metric("loss", trained.data.metrics["loss"])

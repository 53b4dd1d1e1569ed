"""A training that logs something of every kind, and uses the model that it logged."""

import sys

import mlflow
import pandas
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

table = pandas.DataFrame({"x": [1.0, 2.0, 3.0], "y": [2.0, 4.0, 6.0]})
with mlflow.start_run() as run:
    mlflow.log_param("colour", "blue")
    for step in range(5):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_text("hello", "notes/hello.txt")
    mlflow.log_input(mlflow.data.from_pandas(table, name="three", digest="abc123"), context="training")
    model = LinearRegression().fit(table[["x"]], table["y"])
    logged = mlflow.sklearn.log_model(
        model, name="model", pip_requirements=[], serialization_format="cloudpickle",
        params={"depth": 3}, signature=infer_signature([[1.0]], [2.0]),
    )  # fmt: skip
    mlflow.set_tag("model", logged.model_uri)
    uris = [logged.model_uri, f"runs:/{run.info.run_id}/model"]
    if sys.argv[1] != "no":
        version = mlflow.register_model(logged.model_uri, sys.argv[1])
        MlflowClient().set_registered_model_alias(sys.argv[1], "best", version.version)
        uris += [f"models:/{sys.argv[1]}/{version.version}", f"models:/{sys.argv[1]}@best"]
    for uri in uris:
        print("predicted", round(mlflow.sklearn.load_model(uri).predict(pandas.DataFrame({"x": [4.0]}))[0]))

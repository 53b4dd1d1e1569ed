"""The MLflow model of a table: raw rows in, by name; what the network answers out, by class or target.

MLflow keeps this file in the model and runs it when the model is loaded. It imports nothing of trainkit, so
that the model works wherever its requirements are installed.
"""

import json
from pathlib import Path

import pandas as pd
import skops.io
import torch
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class RawRows(PythonModel):  # type: ignore[misc]  # MLflow has no types
    """Its artifacts are `preprocessing`, `network`, and `settings` with `columns` and `trusted`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read what stands before the network, and the network, which is a traced program."""
        settings = json.loads(Path(context.artifacts["settings"]).read_text(encoding="utf-8"))
        self.columns = settings["columns"]
        self.preprocessing = skops.io.load(context.artifacts["preprocessing"], trusted=settings["trusted"])
        self.network = torch.export.load(context.artifacts["network"]).module()

    def predict(self, model_input: pd.DataFrame) -> pd.DataFrame:
        """A row for each, with a column for each class, or one for the quantity."""
        numbers = torch.from_numpy(self.preprocessing.transform(model_input))
        with torch.inference_mode():
            return pd.DataFrame(self.network(numbers).numpy(), columns=self.columns)


set_model(RawRows())

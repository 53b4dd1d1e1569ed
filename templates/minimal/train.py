"""A line through noisy points, by gradient descent: the least that a tracked training needs.

The launcher has made the run and logged its parameters; MLFLOW_TRACKING_URI and MLFLOW_RUN_ID lead there.
"""

# Setup

from dataclasses import dataclass

import mlflow
import numpy as np
from trainkit.arguments import read_arguments
from trainkit.seeding import seed_everything


# CHANGE: parameters. A field for each one that the MLproject declares and hands over.
@dataclass(frozen=True)
class Arguments:
    steps: int
    learning_rate: float
    seed: int


args = read_arguments(Arguments)
seed_everything(args.seed)

with mlflow.start_run():
    # Load
    # CHANGE: the data. Files in data/ are at trainkit.paths.dataset(NAME).

    x = np.random.default_rng(args.seed).uniform(-1, 1, 200)
    y = 2 * x + 1 + np.random.default_rng(args.seed + 1).normal(0, 0.1, 200)

    # Train
    # CHANGE: the model. Log what you want to see as a curve, with the step.

    slope, intercept = 0.0, 0.0
    for step in range(args.steps):
        errors = slope * x + intercept - y
        slope -= args.learning_rate * 2 * float(np.mean(errors * x))
        intercept -= args.learning_rate * 2 * float(np.mean(errors))
        mlflow.log_metric("loss", float(np.mean(errors**2)), step=step)

    # Evaluate and log
    # CHANGE: the results. Numbers to compare runs by, and files to keep.

    mlflow.log_metrics({"slope": slope, "intercept": intercept})
    mlflow.log_dict({"slope": slope, "intercept": intercept}, "model.json")
    print(f"y = {slope:.3f} x + {intercept:.3f}")

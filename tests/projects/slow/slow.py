"""A training that says nothing for a while, says how far it is for a while, and leaves a line unfinished."""

import time

import mlflow
from trainkit import live
from trainkit.timing import timed

with mlflow.start_run():
    time.sleep(4)
    with timed("fit"):
        epochs = live.Epochs(2)
        for epoch in (1, 2):
            epochs.begin(epoch, 3)
            for step in (1, 2, 3):
                time.sleep(0.9)
                epochs.step(step)
            epochs.validate()
            time.sleep(1)
            print(f"epoch {epoch}/2 is over", flush=True)
    print("half a line", end="", flush=True)
    time.sleep(3)
    print(" and its end", flush=True)

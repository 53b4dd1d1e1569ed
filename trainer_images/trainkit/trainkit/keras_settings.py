"""Settings that Keras and TensorFlow read while they are imported: import this module before them."""

import os

from trainkit import places

# Weights are downloaded once for all runs.
os.environ.setdefault("KERAS_HOME", str((places.cache() / "keras").absolute()))
# A run with a GPU shows all of TensorFlow's messages: they say why a GPU cannot be used.
if os.environ.get("TRAINER_GPUS", "none") == "none":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

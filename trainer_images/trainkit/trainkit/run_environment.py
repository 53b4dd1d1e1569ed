"""What a run finds around it: the folders of its container, and the variables that trainer sets.

The CLI on the host and the run import this module. It imports nothing.
"""

# Folders of a run's container.
TRAINER = "/trainer"
DATA = "/data"
"""The datasets of the workspace."""
CACHE = "/cache"
INPUTS = "/inputs"

# Variables. That of the run's id is in mlflow_in_run, which has to stand alone.
DATA_DIR = "TRAINER_DATA_DIR"
CACHE_DIR = "TRAINER_CACHE_DIR"
GPUS = "TRAINER_GPUS"
"""As `--gpus` says it: `none`, `all`, a number or `device=…`."""
SEED = "TRAINER_SEED"
DETERMINISTIC = "TRAINER_DETERMINISTIC"
RESTARTS = "TRAINER_RESTARTS"
OFFLINE = "TRAINER_OFFLINE"
SPOOL = "TRAINER_SPOOL"
WARM_START, WARM_START_RUN = "TRAINER_WARM_START", "TRAINER_WARM_START_RUN"
"""The artifact with the model that a run trains further, and the id of the run that made it."""
LAYERS = "TRAINER_LAYERS"
"""Of a script that is to end when its model is built: what the line with the layers begins with."""
OUTPUT = "TRAINER_OUTPUT"
"""The file that the output of the run goes to, as `DEVICE:INODE`; start.sh sets it."""

# In the folder of the cache, a folder for each run with what it can be resumed from.
CHECKPOINTS = "checkpoints"
UNFINISHED_PREFIX, UNFINISHED_SUFFIX = "unfinished-", ".tmp"
"""How the name of a file there begins or ends that was not written to its end."""

"""How many threads TensorFlow computes with, which is part of what its numbers depend on."""

import os


def of_tensorflow() -> int:
    """What $TF_NUM_INTRAOP_THREADS says, as in a run under a quota of CPU time; else one a core."""
    value = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return int(value) if value.isdecimal() and int(value) else len(os.sched_getaffinity(0))

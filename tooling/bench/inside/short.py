"""A script that works for a second, and says when it began and ended."""

import time

BEGAN = time.time()

import json  # noqa: E402 (the clock comes first)

time.sleep(1)
print(json.dumps({"began": BEGAN, "ended": time.time()}), flush=True)  # noqa: T201

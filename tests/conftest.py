"""What holds for all tests."""

from __future__ import annotations

import signal

# Tests send them. `nohup`, or a shell that starts the tests in the background, would have every process of
# theirs ignore them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

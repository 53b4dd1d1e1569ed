"""What holds for all tests."""

from __future__ import annotations

import signal

# Tests send it; `nohup`, under which they may be started, would have every process of theirs ignore it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

"""What a live run uses, printed once, and in a terminal until Ctrl-C."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import termios

from support import Site, clean_environment

PATIENCE_S = 30


def _in_terminal(site: Site, until: str, key: bytes) -> tuple[int, str]:
    """`trainer top` in a terminal in which the key is pressed once the text is shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(site.root)
        variables = {**clean_environment(), "TERM": "xterm", "CI": ""}
        os.execve(sys.executable, [sys.executable, "-m", "trainer", "top"], variables)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown, is_pressed = "", False
    with contextlib.suppress(OSError):  # how the end of a terminal is told
        while select.select([terminal], [], [], PATIENCE_S)[0] and (piece := os.read(terminal, 1 << 16)):
            shown += piece.decode(errors="replace")
            if until in shown and not is_pressed:
                is_pressed = True
                os.write(terminal, key)
    os.close(terminal)  # which ends a command that still waits for the key
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown


def test_top_shows_what_a_run_uses_and_leaves_it_alone(site: Site) -> None:
    process = site.until_ready("--mode", "sleep")
    run_id = site.runs()[0].info.run_id
    (said,) = [
        run for run in json.loads(site.trainer("top", "--json").out)["runs"] if run["run_id"] == run_id
    ]
    assert (said["project"], said["backend"], said["gpus"]) == ("probe", "docker", [])
    assert 0 <= said["cpu_percent"] < 100 * (os.cpu_count() or 1) + 20
    assert 1e6 < said["memory_bytes"] < 4e9
    for key in (b"q", b"\x03"):
        code, shown = _in_terminal(site, run_id[:8], key)
        assert code == 0
        assert "\x1b[?1049l" in shown  # the screen from before is back
    assert process.poll() is None
    assert site.stop(process, signal.SIGTERM)[0].code == 143

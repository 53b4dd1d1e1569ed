"""The forkserver as it serves in a container, here in a process of this machine."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from trainer import locks
from trainer.backends.docker.warm.forkserver import soundness

_FORKSERVER = Path(soundness.__file__).with_name("__main__.py")


class Forkserver:
    """A process of it, and the files by which it is told what to do."""

    def __init__(self, folder: Path, script: str) -> None:
        self.exchange, self.code, self.home, self.scratch, own = (
            folder / name for name in ("exchange", "code", "home", "scratch", "own")
        )
        for path in (self.exchange, self.code, self.home, self.scratch, own):
            path.mkdir()
        (self.home / "credentials").write_text("secret")
        (own / "script.py").write_text(script)
        (self.code / "train.py").write_text(script)
        self.lock = locks.exclusive(self.exchange / "held")
        self.process = subprocess.Popen(
            [sys.executable, str(_FORKSERVER), str(self.exchange), str(self.home), str(own / "script.py"),
             str(self.scratch)],
            cwd=self.code, stdin=subprocess.DEVNULL, env={**os.environ, "KEPT": "yes", "COVERAGE": ""},
        )  # fmt: skip

    def file(self, *names: str) -> str:
        """What is in the first of these files to exist; it is waited for."""
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            for name in names:
                if (path := self.exchange / name).exists():
                    return path.read_text(errors="replace")
            time.sleep(0.01)
        raise AssertionError(names)

    def order(self, *arguments: str, **environment: str) -> None:
        """Give one."""
        for name in ("accepted", "refused", "go", "output", "stop", "result"):
            (self.exchange / name).unlink(missing_ok=True)
        order = {"script": "train.py", "arguments": arguments, "environment": environment}
        (self.exchange / "new").write_text(json.dumps(order))
        (self.exchange / "new").rename(self.exchange / "order")

    def run(self, *arguments: str, **environment: str) -> tuple[str, str]:
        """What an order comes to: its result, and its output."""
        self.order(*arguments, **environment)
        self.file("accepted")
        (self.exchange / "go").touch()
        return self.file("result").strip(), self.file("output")

    def refusal(self) -> str:
        """Why an order is refused."""
        self.order()
        return self.file("refused")


def serve(folder: Path, script: str) -> Forkserver:
    """One that has imported, or says why not."""
    served = Forkserver(folder, script)
    served.file("ready")
    return served


@pytest.mark.parametrize(
    ("script", "statements"),
    [
        ('"""Doc."""\nfrom __future__ import annotations\nimport json, os\n', "import json, os"),
        ("import json\nx = 1\nimport csv\n", "import json"),
        ("import json\nimport own\nimport csv\n", "import json"),
        ("from . import own\nimport csv\n", ""),
        ("import json\nif True:\n    import csv\n", "import json"),
        ("import os\nos.environ['A'] = 'b'\nimport csv\n", "import os"),
        ("from json import dumps as d\n", "from json import dumps as d"),
        ("import __main__\n", ""),
    ],
)
def test_a_script_s_first_imports_are_those_before_anything_else(script: str, statements: str) -> None:
    found = soundness.first_imports(script)
    assert "\n".join(map(ast.unparse, found)) == statements


def test_a_trial_is_what_python_would_have_started(tmp_path: Path) -> None:
    script = (
        "import json\nimport os\nimport sys\nfrom dataclasses import dataclass\n"
        "import pickle\n\n\n@dataclass\nclass Point:\n    x: int\n\n\n"
        "print(__name__, sys.argv, __file__, sys.path[0], os.getcwd(), __package__, __spec__)\n"
        "print(os.environ['GIVEN'] if len(sys.argv) > 1 else '', os.environ['KEPT'])\n"
        "print(pickle.loads(pickle.dumps(Point(3))), sys.stdin.read(), Point.__module__)\n"
        "print(sorted(name for name in globals() if not name.startswith('__')))\n"
        "def fails():\n    raise ValueError('as told')\nfails()\n"
    )
    served = serve(tmp_path, script)
    cold = subprocess.run(
        [sys.executable, "train.py", "--a"], cwd=served.code, env={**os.environ, "KEPT": "yes", "GIVEN": "x"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert served.run("--a", GIVEN="x") == (str(cold.returncode), cold.stdout)
    assert "Traceback" in cold.stdout


@pytest.mark.parametrize(
    ("line", "result", "output"),
    [
        ("sys.exit(3)", "3", ""),
        ("sys.exit('no')", "1", "no\n"),
        ("os._exit(7)", "7", ""),
        ("os.kill(os.getpid(), 9)", "137", "Killed\n"),
        ("os.kill(os.getpid(), 15)", "143", "Terminated\n"),
        ("atexit.register(print, 'at exit')", "0", "at exit\n"),
        ("signal.raise_signal(2)", "130", None),
    ],
)
def test_its_end_is_recorded(tmp_path: Path, line: str, result: str, output: str | None) -> None:
    served = serve(tmp_path, f"import atexit\nimport os\nimport signal\nimport sys\n\n{line}\n")
    seen_result, seen_output = served.run()
    assert seen_result == result
    assert seen_output == output if output is not None else seen_output.endswith("KeyboardInterrupt\n")


def test_one_that_is_stopped_runs_its_finally(tmp_path: Path) -> None:
    script = (
        "import time\n\ntry:\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "finally:\n    print('cleaned up')\n"
    )
    served = serve(tmp_path, script)
    served.order()
    served.file("accepted")
    (served.exchange / "go").touch()
    while "ready" not in served.file("output"):
        time.sleep(0.01)
    (served.exchange / "stop").touch()
    assert served.file("result").split() == ["130", "2"]
    assert "cleaned up" in served.file("output")


def test_nothing_of_it_is_left_for_the_next(tmp_path: Path) -> None:
    script = (
        "import os\nimport random\nimport subprocess\nimport sys\nfrom pathlib import Path\n\n"
        "home, scratch = map(Path, sys.argv[1:])\n"
        "print(sorted(p.name for p in home.iterdir()), sorted(p.name for p in scratch.iterdir()))\n"
        "(home / 'mine').mkdir()\n(home / 'credentials').write_text('spoilt')\n(scratch / 'mine').touch()\n"
        "os.environ['MINE'] = sys.modules['random'].mine = 'x'\n"
        "print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, random.random())\n"
    )
    served = serve(tmp_path, script)
    outputs = [served.run(str(served.home), str(served.scratch))[1].splitlines() for _ in range(2)]
    assert [output[0] for output in outputs] == ["['credentials'] []"] * 2
    numbers = [output[1].split() for output in outputs]
    for process, _ in numbers:
        assert not Path("/proc", process).exists()
    assert numbers[0][1] != numbers[1][1]  # unseeded, as in a process of its own
    served.run(str(served.home), str(served.scratch))


def test_numpy_is_not_left_with_the_random_numbers_of_its_parent(tmp_path: Path) -> None:
    served = serve(tmp_path, "import numpy as np\n\nprint(np.random.random())\n")
    assert served.run()[1] != served.run()[1]


def test_one_that_cannot_be_sound_is_refused(tmp_path: Path) -> None:
    served = serve(tmp_path, "import json\n\nprint('ran')\n")
    (served.code / "json").mkdir()
    assert served.run() == ("0", "ran\n")  # a folder that is no package hides nothing
    (served.code / "json" / "__init__.py").touch()
    assert served.refusal() == "the project has a module of its own that is called json"
    (served.code / "json" / "__init__.py").unlink()
    (served.code / "train.py").write_text("import csv\n")
    assert served.refusal() == "the script's imports are others than they were"
    (served.code / "train.py").unlink()
    assert "cannot be read" in served.refusal()


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
            "what it imports has started threads",
        ),
        ("raise RuntimeError('not here')\n", "its imports fail: RuntimeError: not here"),
        ("import sys\nsys.exit()\n", "its imports fail: SystemExit"),
    ],
)
def test_what_imports_something_that_cannot_be_forked_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, why: str
) -> None:
    (packages := tmp_path / "packages").mkdir()
    (packages / "awkward.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    served = serve(tmp_path, "import awkward\n")
    assert why in json.loads(served.file("ready"))["refused"]
    assert served.process.wait(10) == 0


def test_threads_that_came_since_the_imports_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = soundness.Imported("", soundness._threads())
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    soundness.check(imported)
    with pytest.raises(soundness.Refused, match="threads"):
        soundness.check(imported._replace(threads=imported.threads - 1))


def test_an_order_can_be_withdrawn(tmp_path: Path) -> None:
    served = serve(tmp_path, "print('ran')\n")
    served.order()
    served.file("accepted")
    (served.exchange / "stop").touch()
    assert served.file("refused") == "it was withdrawn"
    assert served.run() == ("0", "ran\n")


def test_an_order_whose_giver_is_gone_is_not_waited_with(tmp_path: Path) -> None:
    served = serve(tmp_path, "print('ran')\n")
    served.order()
    served.file("accepted")
    served.lock.release()
    assert served.file("refused") == "who gave the order is gone"
    assert served.process.wait(10) == 0


def test_it_ends_when_nobody_gives_orders(tmp_path: Path) -> None:
    served = serve(tmp_path, "print('ran')\n")
    served.lock.release()
    assert served.process.wait(10) == 0


def test_a_signal_to_it_ends_what_it_has_forked(tmp_path: Path) -> None:
    served = serve(tmp_path, "import time\n\nprint('ready', flush=True)\ntime.sleep(60)\n")
    served.order()
    served.file("accepted")
    (served.exchange / "go").touch()
    while "ready" not in served.file("output"):
        time.sleep(0.01)
    served.process.send_signal(signal.SIGTERM)
    assert served.file("result").split() == ["143", "15"]
    assert served.process.wait(10) == 0

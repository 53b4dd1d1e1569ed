"""Warm trials begin, go on and end as those in containers of their own do, with the same numbers."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.models.containers import Container
from support import CANARY, Site
from trainer.backends.base import WarmContainer
from trainer.backends.docker.warm.container import WarmRuns
from trainer.workspace import run_folder, settings
from trials import Trials, metrics

_OF_THE_END = ("trainer.end", "trainer.exit_code", "trainer.signal", "trainer.out_of_memory")


def _warm_container(client: docker.DockerClient, site: Site) -> Container:
    ours = f"trainer.workspace={settings.find(site.root).identity}"
    found: list[Container] = client.containers.list(filters={"label": [ours, "trainer.warm"]})
    assert len(found) == 1
    return found[0]


def _interpreter(container: Container) -> int:
    """The number of its process, outside."""
    processes = cast(dict[str, list[list[str]]], container.top(ps_args="-eo pid,args"))["Processes"]
    return int(next(number for number, command in processes if command.startswith("python")))


def _let_go(slot: WarmContainer) -> None:
    """As the kernel does it for a controller that is killed."""
    assert isinstance(slot, WarmRuns)
    slot._held.release()


def test_the_numbers_are_the_same_to_the_last_bit(trials: Trials) -> None:
    ready = trials.ready("sklearn", n_estimators="20")
    slot = trials.slot(ready)
    for depth in ("2", "5"):
        warm = trials.start(slot, ready, n_estimators="20", max_depth=depth)
        assert warm.is_forked, warm.why
        warm_run = warm.end()
        assert warm_run.info.status == "FINISHED"
        cold_run = trials.start(None, ready, n_estimators="20", max_depth=depth).end()
        assert metrics(warm_run) == metrics(cold_run) != {}


def test_those_of_tensorflow_too_and_what_is_not_seeded_differs(
    trials: Trials, site: Site, tmp_path: Path
) -> None:
    assert site.trainer("build-image", "tensorflow").code == 0
    (project := site.root / "train_code" / "dense").mkdir()
    (project / "MLproject").write_text(
        "name: dense\ndocker_env:\n  image: trainer/tensorflow\nentry_points:\n  main:\n"
        "    command: python dense.py\n"
    )
    (project / "dense.py").write_text(
        "import keras\nimport mlflow\nimport numpy as np\nimport tensorflow as tf\n\n"
        "print(float(tf.random.uniform(())), np.random.random())\n"
        "keras.utils.set_random_seed(3)\n"
        "x = np.random.random((64, 8))\n"
        "model = keras.Sequential([keras.layers.Dense(16, 'tanh'), keras.layers.Dense(1)])\n"
        "model.compile('adam', 'mse')\n"
        "with mlflow.start_run():\n"
        "    for step, loss in enumerate(model.fit(x, x.sum(1), epochs=3, verbose=0).history['loss']):\n"
        "        mlflow.log_metric('loss', loss, step=step)\n"
    )
    ready = trials.ready("dense")
    slot = trials.slot(ready)
    started = [trials.start(slot, ready), trials.start(None, ready)]
    runs = [started[0].end(), started[1].end()]
    started.append(trials.start(slot, ready))
    runs.append(started[-1].end())
    assert [trial.is_forked for trial in started] == [True, False, True]
    assert len({run.data.metrics["loss"] for run in runs}) == 1
    unseeded = []
    for run in runs:
        (place := tmp_path / run.info.run_id).mkdir()
        unseeded += site.log(run.info.run_id, place).split()[-2:]
    assert len(set(unseeded)) == 6


@pytest.mark.parametrize(
    "mode", ["metric", "exit", "signal", "killed", "output", "place", "secret", "traceback"]
)
def test_it_ends_and_prints_as_in_a_container_of_its_own(
    trials: Trials, site: Site, tmp_path: Path, mode: str
) -> None:
    ready = trials.ready("probe", mode=mode)
    warm = trials.start(trials.slot(ready), ready)
    assert warm.is_forked, warm.why
    seen = [(trial.end(), trial.id) for trial in (warm, trials.start(None, ready))]
    ends = [(run.info.status, {tag: run.data.tags.get(tag) for tag in _OF_THE_END}) for run, _ in seen]
    assert ends[0] == ends[1]
    assert metrics(seen[0][0]) == metrics(seen[1][0])
    logs = []
    for run, run_id in seen:
        (place := tmp_path / run_id).mkdir()
        # What the engine keeps is UTF-8.
        log = site.artifact(run.info.run_id, "train.log", place).read_text(errors="replace")
        # The only difference: what `ps` shows.
        logs.append([line[:200] for line in log.splitlines() if not line.startswith("argv")])
    assert logs[0] == logs[1]
    assert CANARY not in "".join(logs[0])


def test_what_takes_too_much_memory_is_out_of_memory_and_the_next_one_runs(trials: Trials) -> None:
    ready = trials.ready("probe", memory="300m", mode="memory")
    slot, other_slot = trials.slot(ready), trials.slot(ready)
    beside = trials.start(other_slot, ready, mode="nap")
    trial = trials.start(slot, ready)
    assert trial.is_forked, trial.why
    run = trial.end()
    assert (run.info.status, run.data.tags["trainer.end"]) == ("FAILED", "out of memory")
    assert beside.end().info.status == "FINISHED"
    for mode in ("child-memory", "metric"):
        after = trials.start(slot, ready, mode=mode)
        assert after.is_forked, after.why
        assert after.end().data.tags["trainer.end"] == ("done" if mode == "metric" else "out of memory")


@pytest.mark.parametrize("mode", ["sleep", "stubborn"])
def test_one_that_is_stopped_runs_its_finally_and_is_killed_within_10_s(
    trials: Trials, site: Site, tmp_path: Path, mode: str
) -> None:
    ready = trials.ready("probe", mode=mode)
    slot = trials.slot(ready)
    trial = trials.start(slot, ready)
    trial.until(b"ready")
    began = time.monotonic()
    trial.started.job.stop()
    assert time.monotonic() - began < 10
    run = trial.end()
    assert run.info.status == "KILLED"
    assert ("cleaned up" in site.log(run.info.run_id, tmp_path)) == (mode == "sleep")
    assert trials.start(slot, ready, mode="metric").end().info.status == "FINISHED"


def test_one_whose_interpreter_or_container_is_killed_is_cut_off(
    trials: Trials, client: docker.DockerClient, site: Site
) -> None:
    ready = trials.ready("probe", mode="sleep")
    ends = []
    for kill in ("the interpreter", "the container", "nothing is left"):
        slot = trials.slot(ready)
        trial = trials.start(slot, ready)
        trial.until(b"ready")
        container = _warm_container(client, site)
        match kill:
            case "the interpreter":
                os.kill(_interpreter(container), signal.SIGKILL)
                container.wait(timeout=20)
            case "the container":
                container.kill()
            case _:
                container.remove(force=True)
        run = trial.end()
        ends.append((run.info.status, run.data.tags["trainer.end"]))
        cold = trials.start(slot, ready, mode="metric")  # the slot goes on
        assert not cold.is_forked
        assert "its container has ended" in cold.why
        assert cold.end().info.status == "FINISHED"
        slot.close()
    assert ends == [("KILLED", "stopped from outside")] * 2 + [("KILLED", "lost")]


def test_a_slot_ends_with_its_controller_and_gc_removes_it(
    trials: Trials, client: docker.DockerClient, site: Site
) -> None:
    slot = trials.slot(trials.ready("probe"))
    container = _warm_container(client, site)
    assert str(container.name) not in site.trainer("gc", "--dry-run").out
    _let_go(slot)
    container.wait(timeout=60)
    site.trainer("gc", "--yes")
    assert client.containers.list(all=True, filters={"name": str(container.name)}) == []


def test_the_journal_can_be_read_on_this_machine_while_it_runs(trials: Trials, site: Site) -> None:
    ready = trials.ready("probe", mode="log")
    trial = trials.start(trials.slot(ready), ready)
    trial.until(b"ready")
    spool = run_folder.of(settings.find(site.root), trial.id).spool
    assert b'"loss"' in b"".join(path.read_bytes() for path in spool.iterdir() if path.is_file())
    (spool / "go").touch()
    run = trial.end()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["loss"] == 1 / 40


def test_what_it_uses_is_seen_and_in_other_workspaces_whose_sweep_it_is(
    trials: Trials, site: Site, tmp_path: Path
) -> None:
    ready = trials.ready("probe", mode="sleep")
    trial = trials.start(trials.slot(ready), ready)
    trial.until(b"ready")
    (own,) = json.loads(site.trainer("top", "--json").out)["runs"]
    assert own["run_id"] == trial.id
    assert own["memory_bytes"] > 1e7
    assert own["cpu_percent"] is not None
    (tmp_path / "trainer.yaml").touch()
    told = site.trainer("--workspace", str(tmp_path), "ps", "--all", "--json")
    assert ["woods", "7" * 32] in [[run["name"], run["run_id"]] for run in json.loads(told.out)], told.err
    trial.started.job.stop()
    trial.end()


def test_nothing_of_a_trial_is_there_for_the_next(trials: Trials, site: Site, tmp_path: Path) -> None:
    (project := site.root / "train_code" / "litter").mkdir()
    (project / "MLproject").write_text(
        "name: litter\ndocker_env:\n  image: trainer/sklearn\nentry_points:\n  main:\n"
        "    command: python litter.py\n"
    )
    (project / "litter.py").write_text(
        "import os, subprocess\nfrom pathlib import Path\n"
        "places = ['/tmp', '/dev/shm', '.', Path.home(), os.environ['TRAINER_SPOOL']]\n"
        "print('found', [str(Path(place, 'mine')) for place in places if Path(place, 'mine').exists()])\n"
        "numbers = [name for name in os.listdir('/proc') if name.isdecimal()]\n"
        "commands = [Path('/proc', number, 'cmdline').read_bytes() for number in numbers]\n"
        "print('beside', [command for command in commands if command.startswith(b'sleep')])\n"
        "for place in places:\n    Path(place, 'mine').write_text('x')\n"
        "subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    )
    ready = trials.ready("litter")
    slot = trials.slot(ready)
    for number in range(2):
        trial = trials.start(slot, ready)
        assert trial.is_forked, trial.why
        run = trial.end()
        (place := tmp_path / str(number)).mkdir()
        assert site.log(run.info.run_id, place) == "found []\nbeside []\n"
        assert run.data.tags["trainer.left_files"].startswith("1 file (1 byte; the largest is mine")


def test_a_project_with_a_module_that_was_imported_has_a_container_of_its_own(
    trials: Trials, site: Site
) -> None:
    ready = trials.ready("probe", mode="metric")
    slot = trials.slot(ready)
    (own := site.root / "train_code" / "probe" / "shutil.py").write_text("")
    try:
        trial = trials.start(slot, ready, mode="exit")
    finally:
        own.unlink()
    assert not trial.is_forked
    assert "the project has a module of its own that is called shutil" in trial.why
    trial.end()
    assert (again := trials.start(slot, ready)).is_forked
    assert again.end().info.status == "FINISHED"


def test_it_is_stopped_and_settled_by_other_commands_when_its_controller_is_dead(
    trials: Trials, site: Site, client: docker.DockerClient
) -> None:
    ready = trials.ready("probe", mode="sleep")
    slot = trials.slot(ready)
    trial = trials.start(slot, ready)
    trial.until(b"ready")
    trial.held.close()
    _let_go(slot)
    assert "running" in site.trainer("ps").out
    assert site.trainer("stop", trial.id).code == 0
    assert site.run(trial.id).data.tags["trainer.end"] == "stopped by trainer stop"
    assert client.containers.list(all=True, filters={"label": "trainer.warm"}) == []

"""The same run twice gives the same numbers, to the last bit: a project of each framework, in containers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from support import REPOSITORY, Site

# What the clock or the machine decides.
MEASURED = re.compile(r"system/|seconds_|images_per_second$|input_busy$")
EPOCHS = 2
PICTURES = ("--data", "few", "--image-size", "32", "--epochs", str(EPOCHS))
RUNS = {
    # Of scikit-learn's estimators the one that adds up in several threads.
    "sklearn": ("sklearn", "--estimator", "hist_gradient_boosting", "--n-estimators", "10"),
    "tensorflow": ("tensorflow", *PICTURES, "--augment", "yes"),
    "pytorch": ("pytorch_layers", *PICTURES),
}

Numbers = dict[str, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with the repository's own projects and a few pictures of three classes."""
    site = Site(tmp_path_factory.mktemp("repeat"), port=5345)
    shutil.rmtree(site.root / "train_code")
    shutil.copytree(REPOSITORY / "train_code", site.root / "train_code", symlinks=True)
    made = site.trainer("data", "sample", "few", "--classes", "3", "--images", "16")
    assert made.code == 0, made.err
    yield site
    site.trainer("server", "down")


def numbers(lab: Site, *arguments: str) -> Numbers:
    """All points of a run's metrics that nothing but its inputs may decide: steps, and values bit by bit."""
    done = lab.trainer("run", *arguments, timeout_s=1500)
    assert done.code == 0, done.err + done.out
    names = [name for name in lab.run(done.run_id).data.metrics if not MEASURED.match(name)]
    histories = {name: lab.client.get_metric_history(done.run_id, name) for name in names}
    return {name: sorted((p.step, p.value.hex()) for p in points) for name, points in histories.items()}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUNS)
def test_a_seed_gives_the_same_numbers_twice_and_another_seed_gives_others(lab: Site, name: str) -> None:
    arguments = (*RUNS[name], "--deterministic", "--seed")
    first = numbers(lab, *arguments, "1")
    assert numbers(lab, *arguments, "1") == first
    assert numbers(lab, *arguments, "2") != first
    if name == "sklearn":
        assert {"accuracy", "f1", "roc_auc"} <= first.keys()
    else:
        assert {"loss", "accuracy", "validation_accuracy", "validation_log_loss"} <= first.keys()
        assert [step for step, _ in first["val_loss"]] == list(range(1, EPOCHS + 1))


def test_a_project_of_ones_own_that_declares_no_seed_is_seeded_and_its_sets_have_one_order(
    lab: Site,
) -> None:
    project = lab.root / "train_code" / "own"
    project.mkdir()
    (project / "MLproject").write_text(
        "name: own\ndocker_env: {image: trainer/sklearn}\nentry_points: {main: {command: python train.py}}\n"
    )
    (project / "train.py").write_text(
        "import mlflow, numpy as np\n"
        "from trainkit.seeding import given_seed, seed_everything\n"
        "seed = given_seed()\n"
        "if seed is not None:\n"
        "    seed_everything(seed)\n"
        "with mlflow.start_run():\n"
        "    mlflow.log_metric('drawn', np.random.rand())\n"
        "    mlflow.log_metric('order', float(''.join(sorted('123456789', key=hash))))\n"
    )
    first = numbers(lab, "own", "--seed", "5")
    assert numbers(lab, "own", "--seed", "5") == first
    unseeded = numbers(lab, "own")
    assert unseeded["drawn"] != first["drawn"]
    assert unseeded["order"] != first["order"]  # one in 362,880 times it is the same

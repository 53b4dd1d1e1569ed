import shlex
from collections.abc import Callable

import pytest
from trainer.images import spec, trainer_image
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, Result, put

Trainer = Callable[..., Result]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("", "Specify the images to build, or pass --all.", "`trainer images` lists them."),
        ("small --all", "Specify the images to build, or pass --all.", "`trainer images` lists them."),
        ("smal", "There is no trainer image smal.", "Did you mean small?"),
        ("small smal", "There is no trainer image smal.", "Did you mean small?"),
        ("--nocache", "No such option '--nocache'. Did you mean '--no-cache'?", "trainer build-image --help"),
    ],
)
def test_a_wrong_command_line(trainer: Trainer, arguments: str, message: str, hint: str) -> None:
    done = trainer("build-image", *arguments.split())
    assert (done.code, done.err, done.out) == (2, f"Error: {message}\nHint:  {hint}\n", "")


@pytest.mark.parametrize("command", ["build-image small", "images", "images --json", "images list"])
def test_without_an_engine(trainer: Trainer, command: str) -> None:
    done = trainer(*command.split())
    assert done.code == 82
    assert done.err.startswith(f"Error: No Docker engine answers at {DEAD_ENGINE}.\nHint:  Start it ")
    assert "--backend" not in done.err
    assert done.out == ""


@pytest.mark.parametrize("arguments", ["small", "--all"])
def test_a_dry_run_prints_commands_that_can_be_typed(
    trainer: Trainer, workspace: Workspace, arguments: str
) -> None:
    put(workspace.images / "small" / "image.yaml", "apt: [git, tini]\n")
    done = trainer("build-image", arguments, "--dry-run", "--base-image", "debian:12")
    plan = trainer_image.plan(workspace, spec.spec(workspace, "small"), "debian:12")
    assert (done.code, done.err) == (0, "")
    assert [shlex.split(line) for line in done.out.splitlines()] == [plan.build_command()]
    assert not workspace.state.exists()


def test_a_dry_run_prints_the_parents_build_too(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.images / "big" / "image.yaml", "inherits: small\n")
    put(workspace.images / "big" / "requirements.txt")
    done = trainer("build-image", "big", "--dry-run")
    assert [shlex.split(line)[6] for line in done.out.splitlines()] == [
        "--build-arg=IMAGE=small",
        "--build-arg=IMAGE=big",
    ]


def test_what_no_cache_does_is_in_the_dry_run(trainer: Trainer) -> None:
    assert "--no-cache" in trainer("build-image", "small", "--no-cache", "--dry-run").out


def test_a_malformed_image_is_named(trainer: Trainer, workspace: Workspace) -> None:
    path = put(workspace.images / "small" / "image.yaml", "gpus: true\n")
    done = trainer("build-image", "--all")
    assert (done.code, done.err) == (2, f"Error: {path} has an unknown key: gpus\nHint:  Did you mean gpu?\n")


def test_the_two_builds_of_a_check_are_alike_but_for_their_tags(trainer: Trainer) -> None:
    done = trainer("build-image", "small", "--check-reproducible", "--dry-run")
    one, other = (shlex.split(line) for line in done.out.splitlines())
    assert "--no-cache" in one
    differing = [words for words in zip(one, other, strict=True) if len(set(words)) > 1]
    assert [word.partition(":")[0] for words in differing for word in words] == ["--tag=trainer/small"] * 2


def test_a_base_is_not_pinned_in_the_same_call_that_checks(trainer: Trainer) -> None:
    done = trainer("build-image", "small", "--check-reproducible", "--pin-base")
    assert (done.code, done.err) == (
        2,
        "Error: --check-reproducible and --pin-base cannot be combined.\nHint:  Pin first, then check.\n",
    )

"""Aliases of registered models: moved, listed, rolled back, on the workspace's own server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from support import Result, Site
from trainer.models import aliases, registry
from trainer.tracking.client import Client
from trainer.tracking.endpoint import Server


@pytest.fixture(scope="module")
def birds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace whose server has runs and room for models. It needs no engine."""
    site = Site(tmp_path_factory.mktemp("birds") / "site", port=5455)
    site.client.create_experiment("birds")
    yield site
    site.trainer("server", "down")


def _registered(site: Site, name: str, versions: int) -> str:
    client = site.client
    client.create_registered_model(name)
    experiment = client.get_experiment_by_name("birds").experiment_id
    for _ in range(versions):
        info = client.create_run(experiment).info
        client.set_terminated(info.run_id)
        client.create_model_version(
            name, f"{info.artifact_uri}/model", info.run_id, tags={"trainer.digest": "ab"}
        )
    return name


def _moves(site: Site, name: str) -> list[tuple[str, int | None, int]]:
    shown = site.trainer("models", "history", name, "--json")
    assert shown.code == 0, shown.err
    return [(move["why"], move["before"], move["version"]) for move in json.loads(shown.out)]


def test_an_alias_is_moved_and_rolled_back_step_by_step(birds: Site) -> None:
    name = _registered(birds, "wren", 3)
    for number in (1, 2, 3):
        done = birds.trainer("models", "promote", f"{name}@{number}")
        assert done.code == 0, done.err
    assert birds.client.get_model_version_by_alias(name, "champion").version == "3"
    back = birds.trainer("models", "rollback", name)
    assert (back.code, back.out) == (0, "wren@champion is version 2 (was 3).\n")
    assert birds.trainer("models", "rollback", name).out == "wren@champion is version 1 (was 2).\n"
    assert birds.client.get_model_version_by_alias(name, "champion").version == "1"
    last = birds.trainer("models", "rollback", name)
    assert (last.code, last.error[0]) == (
        2, "Error: wren@1 is the first version that was champion: nothing is before it."
    )  # fmt: skip
    assert _moves(birds, name) == [
        ("rollback", 2, 1), ("rollback", 3, 2), ("promote", 2, 3), ("promote", 1, 2), ("promote", None, 1),
    ]  # fmt: skip
    rows = birds.trainer("models", "history", name).out.splitlines()
    assert (rows[0].split()[:2], rows[1].split()[2:7]) == (
        ["TIME", "ALIAS"],
        ["champion", "2", "→", "1", "rollback"],
    )
    listed = birds.trainer("models", "list").out
    assert ["wren", "champion", "→", "1"] in [line.split()[:4] for line in listed.splitlines()]


def test_what_is_so_already_is_not_written_again(birds: Site) -> None:
    name = _registered(birds, "robin", 1)
    assert birds.trainer("models", "promote", f"{name}@1", "--alias", "beta").code == 0
    again = birds.trainer("models", "promote", f"{name}@1", "--alias", "beta")
    assert (again.code, again.out, "robin@1 is beta already." in again.err) == (0, "", True)
    assert len(_moves(birds, name)) == 1


def test_of_two_who_promote_at_once_one_is_told(birds: Site) -> None:
    name = _registered(birds, "finch", 5)
    assert birds.trainer("models", "promote", f"{name}@1").code == 0
    for _ in range(3):
        before = int(birds.client.get_model_version_by_alias(name, "champion").version)
        both = [number for number in (2, 3, 4, 5) if number != before][:2]
        started = [birds.start("models", "promote", f"{name}@{number}") for number in both]
        ended = [Result(p.returncode, out, err) for p in started for out, err in [p.communicate(timeout=60)]]
        champion = int(birds.client.get_model_version_by_alias(name, "champion").version)
        won = [number for number, done in zip(both, ended, strict=True) if done.code == 0]
        # Where one was over before the other looked, both are in order; the history says which came last.
        assert won, [done.err for done in ended]
        for done in ended:
            if done.code:
                assert (done.code, done.error[0]) == (
                    84, "Error: Somebody else has moved the alias champion of finch in the meantime."
                )  # fmt: skip
        moves = _moves(birds, name)
        assert champion == moves[0][2]
        for (_, seen, _), (_, _, earlier) in pairwise(moves):
            assert seen == earlier  # each began where the one before it had ended


def test_a_move_that_was_cut_off_is_in_the_history_with_the_next_one(birds: Site) -> None:
    name = _registered(birds, "heron", 3)
    assert birds.trainer("models", "promote", f"{name}@1").code == 0
    client = birds.client
    experiment = client.get_experiment_by_name("heron (model)").experiment_id
    [claims] = client.search_runs([experiment])
    claim = {"alias": "champion", "number": 2, "version": 2, "before": 1, "at": 1.0, "by": "a",
             "why": "promote", "evidence": None}  # fmt: skip
    client.log_param(claims.info.run_id, "trainer.alias.champion.0002", json.dumps(claim))
    client.set_registered_model_alias(name, "champion", "2")
    assert birds.trainer("models", "promote", f"{name}@3").code == 0
    assert sorted(_moves(birds, name), key=str) == [
        ("promote", 1, 2),
        ("promote", 2, 3),
        ("promote", None, 1),
    ]


def test_who_was_overtaken_does_not_keep_the_next_one_waiting(birds: Site) -> None:
    name = _registered(birds, "crane", 3)
    assert birds.trainer("models", "promote", f"{name}@1").code == 0
    client = Client(Server(birds.uri, *birds.account))
    version = registry.version(client, registry.Reference(name, number=2))
    with pytest.raises(aliases.Overtaken):  # it had seen none, and there is one
        aliases.move(client, version, "champion", None, "promote")
    assert birds.trainer("models", "promote", f"{name}@3").code == 0
    assert _moves(birds, name) == [("promote", 1, 3), ("promote", None, 1)]


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["show", "eagl"], "There is no registered model eagl.", "Did you mean eagle?"),
        (["promote", "eagle"], "eagle names no version.",
         "Write eagle@VERSION; to list them: trainer models show eagle"),
        (["promote", "eagle@7"], "eagle has no version 7.", "It has 1, 2."),
        (["promote", "eagle@1", "--alias", "v1"], "v1 is not valid as an alias.",
         "Use letters, digits, _ and -; not a number, v1 or latest."),
        (["show", "eagle@best"], "eagle has no alias best.",
         "Give it to a version: trainer models promote eagle@1 --alias best"),
        (["rollback", "eagle"], "No version has the alias champion.",
         "`trainer models list` shows which aliases there are."),
        (["show", "eagle@"], "eagle@ names no model.",
         "Write NAME@ALIAS or NAME@VERSION, e.g. skin@champion."),
    ],
)  # fmt: skip
def test_bad_names(birds: Site, arguments: list[str], said: str, hint: str) -> None:
    if not birds.client.search_registered_models("name = 'eagle'"):
        _registered(birds, "eagle", 2)
    done = birds.trainer("models", *arguments)
    assert (done.code, done.out, done.error) == (2, "", [f"Error: {said}", f"Hint:  {hint}"])

from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.workspace.settings import Settings, find

from unit.helpers import fails, put


def test_it_is_found_from_any_folder_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "trainer.yaml")
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert find(deep).root == tmp_path
    monkeypatch.chdir(deep)
    assert find().root == tmp_path
    assert not (tmp_path / ".trainer").exists()


def test_the_variable_names_it_and_an_argument_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        put(tmp_path / name / "trainer.yaml")
    monkeypatch.setenv("TRAINER_WORKSPACE", str(tmp_path / "one"))
    assert find().root == tmp_path / "one"
    assert find(tmp_path / "two").root == tmp_path / "two"


def test_outside_of_one(tmp_path: Path) -> None:
    with fails(
        InvalidInput,
        f"{tmp_path} is not in a workspace: neither it nor a folder above it has a trainer.yaml.",
        "Go into your workspace, name it (trainer --workspace DIR …), or make one: trainer init",
    ):
        find(tmp_path)


@pytest.mark.timeout(20)
def test_settings_that_are_no_file_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "trainer.yaml"
    path.mkdir()
    with fails(InvalidInput, f"{path} is a folder, and has to be a file.", "Put a text file in its place."):
        find(tmp_path)
    path.rmdir()
    for target, kind in (("/dev/null", "a device, a pipe or a socket"), ("gone", "not there")):
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        with fails(InvalidInput, f"{path} is a link to {target}, which is {kind}, and has to be a file."):
            find(tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n"])
def test_without_settings_the_defaults_hold(tmp_path: Path, text: str) -> None:
    put(tmp_path / "trainer.yaml", text)
    assert find(tmp_path).settings == Settings("python:3.11-slim-bookworm", None, 5000)


def test_settings_are_read(tmp_path: Path) -> None:
    put(tmp_path / "trainer.yaml", "base_image: debian:12\ntracking_uri: https://x\nserver_port: 6000\n")
    assert find(tmp_path).settings == Settings("debian:12", "https://x", 6000)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a: [1\nb: 2\n", "{path}, line 2: this is not valid YAML.", "Correct the line."),
        ("- a\n", "{path} does not hold settings.", "Write one `name: value` a line."),
        ("server_prot: 1\n", "{path} has an unknown setting: server_prot", "Did you mean server_port?"),
        (
            "zzz: 1\n",
            "{path} has an unknown setting: zzz",
            "The settings are base_image, tracking_uri, server_port, gpu_free_gb, disk_free_gb, shm_size, "
            "pids_limit, read_only, deterministic, parameters.",
        ),
        (
            "server_port: many\n",
            "{path}: server_port is 'many', which is not of type int.",
            "Correct the value, or remove the line for the default.",
        ),
        ("server_port: true\n", "{path}: server_port is True, which is not of type int.", None),
        ("base_image: 3\n", "{path}: base_image is 3, which is not of type str.", None),
        ("read_only: 1\n", "{path}: read_only is 1, which is not of type bool.", None),
        ("shm_size: lots\n", "{path}: shm_size is lots.", "Use a number and k, m or g: 512m, 8g."),
        ("shm_size: 9999999999g\n", "{path}: shm_size is 9999999999g.", None),
        ("pids_limit: 15\n", "{path}: pids_limit is 15.", "Use a number from 16 to 4194304."),
        ("pids_limit: 4194305\n", "{path}: pids_limit is 4194305.", "Use a number from 16 to 4194304."),
        (
            "parameters: {demo: {on: 1}}\n",
            "{path}: a parameter of demo has a name that YAML reads as True, which is not text.",
            None,
        ),
        ("base_image: A b\n", "{path}: base_image is 'A b', which is not an image reference.", None),
        ("disk_free_gb: -1\n", "{path}: disk_free_gb is -1.", "Use a number from 0 to 1000000000."),
        (
            "parameters: {demo: 3}\n",
            "{path}: the parameters of demo are invalid.",
            "Write `parameters: {PROJECT: {NAME: VALUE}}`.",
        ),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    path = put(tmp_path / "trainer.yaml", text)
    with fails(InvalidInput, message.format(path=path), hint):
        find(tmp_path)


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_that_there_is_not_is_refused(tmp_path: Path, port: int) -> None:
    put(tmp_path / "trainer.yaml", f"server_port: {port}\n")
    with pytest.raises(InvalidInput):
        find(tmp_path)


def test_parameters_are_read_as_text_by_project(tmp_path: Path) -> None:
    put(tmp_path / "trainer.yaml", "parameters: {demo: {epochs: 3, rate: 0.1}}\n")
    assert find(tmp_path).settings.parameters == {"demo": {"epochs": "3", "rate": "0.1"}}

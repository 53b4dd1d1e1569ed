"""`docker_env.volumes` as a container gets them."""

from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.projects.docker_env import mounts, variables
from trainer.projects.mounts import Mount

from unit.helpers import fails


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in `project/` with a folder of data, and a home."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLACE", str(tmp_path / "home"))
    monkeypatch.setenv("SET", "sets")
    monkeypatch.setenv("COLON", f"{tmp_path}/home:/elsewhere")
    for place in ("project/raw data", "home/sets"):
        (tmp_path / place).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("volume", "mount"),
    [
        ("{home}/home:/input", Mount("{home}/home", "/input", read_only=False)),
        ("{home}/home/:/input/:ro", Mount("{home}/home", "/input")),
        ("{home}/home:/input:rw,delegated", Mount("{home}/home", "/input", read_only=False)),
        ("$(pwd):/work", Mount("{home}/project", "/work", read_only=False)),
        ("$(pwd)/raw data:/data", Mount("{home}/project/raw data", "/data", read_only=False)),
        ("$PWD/raw data:/data", Mount("{home}/project/raw data", "/data", read_only=False)),
        ("${{PWD}}/../home:/a", Mount("{home}/home", "/a", read_only=False)),
        ("`pwd`/raw data:/data:ro", Mount("{home}/project/raw data", "/data")),
        ("%cd%/raw data:/data", Mount("{home}/project/raw data", "/data", read_only=False)),
        ("%CD%:/data", Mount("{home}/project", "/data", read_only=False)),
        ("~/sets:/sets", Mount("{home}/home/sets", "/sets", read_only=False)),
        ("$HOME/sets:/sets", Mount("{home}/home/sets", "/sets", read_only=False)),
        ("weights:/weights:ro", Mount("weights", "/weights", kind="volume")),
        ("${{PLACE}}/$SET:/sets", Mount("{home}/home/sets", "/sets", read_only=False)),
    ],
)
def test_the_forms_of_a_volume(home: Path, volume: str, mount: Mount) -> None:
    made = mounts("demo", home / "project", (volume.format(home=home),))
    source = mount.source.format(home=home)
    assert made == (Mount(source, mount.target, mount.read_only, mount.kind),)


@pytest.mark.parametrize(
    ("volume", "problem", "hint"),
    [
        ("data:data", "is invalid.", "Write /on/the/host:/in/the/container, or …:ro."),
        ("/in/the/container", "is invalid.", None),
        ("./data:/data", "is a relative path.", "Write $(pwd)/data:/data"),
        ("../data:/data", "is a relative path.", None),
        ("/no/such/place:/data", "is of /no/such/place, which is not there.", None),
        ("$(pwd)/gone:/data", "is of {home}/project/gone, which is not there.", None),
        ("$(git rev-parse HEAD):/a", "needs a shell for $(git; it is read without one.", None),
        ("$PWDX:/a", "needs the variable PWDX, which is not set.", None),
        (
            "${{UNSET}}/a:/a",
            "needs the variable UNSET, which is not set.",
            "export UNSET=/a/folder, or write the path.",
        ),
        ("/a${{UNSET:-b}}:/a", "needs a shell for ${{UNSET; it is read without one.", None),
        ("%DATA%:/a", "needs a shell for %DATA; it is read without one.", None),
        ("~:/a:z", "has the option z, which is not supported.", "Remove it, or use ro."),
        ("~:/trainer/code", "is to be at /trainer/code, where trainer has something of its own.", None),
        ("~:/x/../cache", "is to be at /cache, where trainer has something of its own.", None),
        ("~:/inputs/x", "is to be at /inputs/x, where trainer has something of its own.", None),
        ("~:/x/$SET", "has a variable in its place in the container.", None),
        ("~:/x-${{SET}}:ro", "has a variable in its place in the container.", None),
        ("~:/x/${{UNSET}}", "has a variable in its place in the container.", None),
        ("$(pwd):$(pwd)", "has a variable in its place in the container.", None),
        ("~:/x/%SET%", "has a variable in its place in the container.", None),
        ("$COLON:/a", "is invalid.", None),
        ("$PLACE/gone:/a", "is of $PLACE/gone, which is not there.", None),
        ("~:/", "is to be at /, where trainer has something of its own.", None),
    ],
)
def test_what_cannot_be_mounted_is_named(home: Path, volume: str, problem: str, hint: str | None) -> None:
    volume = volume.replace("{{", "{").replace("}}", "}")
    with fails(InvalidInput, f"demo: the volume {volume} {problem.format(home=home)}", hint):
        mounts("demo", home / "project", (volume,))


def test_two_volumes_at_one_place(home: Path) -> None:
    with fails(InvalidInput, "demo mounts two volumes at /a.", "Keep one of docker_env.volumes."):
        mounts("demo", home / "project", ("~:/a", "~/sets:/a/"))


def test_the_variables_of_volumes() -> None:
    said = (
        "$(pwd):/a",
        "$PWD/x:/b:ro",
        "~/x:/c",
        "${HOME}:/d",
        "%cd%:/e",
        "$PLACE/${SET}:/f",
        "$SET:/g",
        "x",
    )
    assert variables(said) == ("PLACE", "SET")

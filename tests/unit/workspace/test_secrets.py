import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer.errors import DiskFull, SecretsError
from trainer.workspace import secrets
from trainer.workspace.secrets import Secrets
from trainer.workspace.settings import Workspace, find

from unit.helpers import fails, git, put

CANARY = "canary-7f3a"


@pytest.fixture
def site(tmp_path: Path) -> Workspace:
    """A workspace in git with a secrets file as it should be."""
    put(tmp_path / "trainer.yaml")
    put(tmp_path / ".gitignore", "secrets.env\n")
    put(tmp_path / "secrets.env", f"API_KEY={CANARY}\n").chmod(0o600)
    git(tmp_path, "init", "--quiet")
    return find(tmp_path)


def test_secrets_are_read(site: Workspace) -> None:
    put(
        site.secrets_file,
        "# a comment\nA=1\nexport B = two words\nC='a # b'\nD=\"line\\nbreak\"\n"
        "\nEMPTY=\nE=a=b#c\nF=$A${A}%s\n",
    )
    assert secrets.load(site).values == {
        "A": "1",
        "B": "two words",
        "C": "a # b",
        "D": "line\nbreak",
        "E": "a=b#c",
        "F": "$A${A}%s",
    }


def test_a_file_that_another_system_began_with_a_mark(site: Workspace) -> None:
    put(site.secrets_file, b"\xef\xbb\xbfA=1\r\nB=2\r\n")
    assert secrets.load(site).values == {"A": "1", "B": "2"}


def test_no_file_means_no_secrets(site: Workspace) -> None:
    site.secrets_file.unlink()
    assert secrets.load(site).values == {}


def test_outside_of_git_there_is_nothing_to_leak_into(tmp_path: Path) -> None:
    put(tmp_path / "trainer.yaml")
    put(tmp_path / "secrets.env", "A=1\n").chmod(0o600)
    assert secrets.load(find(tmp_path)).values == {"A": "1"}


def test_a_tracked_file_is_refused(site: Workspace) -> None:
    git(site.root, "add", "--force", "secrets.env")
    with fails(
        SecretsError,
        f"git tracks {site.secrets_file}.",
        "git rm --cached secrets.env, add the line `secrets.env` to .gitignore, and change every "
        "secret in it that was pushed.",
    ):
        secrets.load(site)


def test_a_file_that_git_would_commit_is_refused_with_the_missing_line(site: Workspace) -> None:
    (site.root / ".gitignore").unlink()
    with fails(
        SecretsError,
        f"git would commit {site.secrets_file}: no .gitignore names it.",
        f"echo secrets.env >> {site.root / '.gitignore'}",
    ):
        secrets.load(site)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_can_read_is_refused(site: Workspace, mode: int) -> None:
    site.secrets_file.chmod(mode)
    with fails(
        SecretsError,
        f"Other users of this machine can read {site.secrets_file}.",
        f"chmod 600 {site.secrets_file}",
    ):
        secrets.load(site)


def test_a_value_with_a_nul_byte_is_numbered_and_never_shown(site: Workspace) -> None:
    put(site.secrets_file, "GOOD=1\nBAD=can\0ary\n")
    message = f"{site.secrets_file}, line 2: the value has a NUL byte, which no variable can hold."
    with fails(SecretsError, message):
        secrets.load(site)


@pytest.mark.parametrize(
    "line", [f'A="{CANARY}', f"A='{CANARY}", f"export A='{CANARY}\\'", f'A = "{CANARY}  ']
)
def test_a_quote_that_is_not_closed_is_numbered_and_its_value_never_shown(site: Workspace, line: str) -> None:
    put(site.secrets_file, f"GOOD=1\n\n{line}\nALSO=2\n")
    with fails(SecretsError, f"{site.secrets_file}, line 3: a quote is not closed."):
        secrets.load(site)


@pytest.mark.parametrize(
    "line", [CANARY, f"'{CANARY}", f"A B={CANARY}", f"={CANARY}", f'A="b" {CANARY}', f'A="{CANARY}" b']
)
def test_an_invalid_line_is_numbered_and_never_shown(site: Workspace, line: str) -> None:
    put(site.secrets_file, f"GOOD=1\n{line}\nALSO=2\n")
    with fails(
        SecretsError,
        f"{site.secrets_file}, line 2: this is not NAME=value.",
        "Write NAME=value; quote a value with blanks or # in it: NAME='a value'.",
    ):
        secrets.load(site)


@pytest.mark.parametrize(
    "line", [f'$env:API_KEY = "{CANARY}"', f"my-key={CANARY}", f"1ST={CANARY}", f"{CANARY}="]
)
def test_a_name_that_no_variable_can_have(site: Workspace, line: str) -> None:
    put(site.secrets_file, f"GOOD=1\n\n  # a comment\n\n{line}\nALSO=2\n")
    message = f"{site.secrets_file}, line 5: what stands before = is not the name of a variable."
    hint = "Write NAME=value, without `$env:`: letters, digits and underscores, no digit first."
    with fails(SecretsError, message, hint):
        secrets.load(site)
    with fails(SecretsError, message, hint):
        secrets.store(site, {"NEW": "1"})


def make(path: Path, kind: str) -> None:
    """Something that is no file."""
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "named pipe":
        os.mkfifo(path, 0o600)
    else:
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["folder", "named pipe", "device or a socket"])
def test_what_is_no_file_is_not_waited_for(site: Workspace, kind: str) -> None:
    make(site.secrets_file, kind)
    message, hint = (
        f"{site.secrets_file} is a {kind}, and has to be a file.",
        "Move it away; `trainer secrets set NAME` makes the file.",
    )
    for use in (secrets.load, secrets.read, lambda workspace: secrets.store(workspace, {"NEW": "1"})):
        with fails(SecretsError, message, hint):
            use(site)
    assert secrets.hide(CANARY) == CANARY


def test_a_link_that_leads_nowhere_is_no_workspace_without_secrets(site: Workspace) -> None:
    site.secrets_file.unlink()
    site.secrets_file.symlink_to("kept/elsewhere.env")
    with fails(SecretsError, f"{site.secrets_file} is a link to kept/elsewhere.env, which is not there."):
        secrets.load(site)
    site.secrets_file.unlink()
    site.secrets_file.symlink_to("secrets.env")
    with fails(SecretsError, f"{site.secrets_file} cannot be read: Too many levels of symbolic links."):
        secrets.load(site)


def test_a_file_that_is_no_text_is_refused_without_showing_it(site: Workspace) -> None:
    put(site.secrets_file, b"A=canary\xff\n")
    with pytest.raises(SecretsError) as caught:
        secrets.load(site)
    assert caught.value.message == f"{site.secrets_file} is not UTF-8 text."
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_printing_secrets_shows_no_value() -> None:
    assert CANARY not in repr(Secrets({"A": CANARY}))


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Secrets({"A": "file", "B": "file"})
    monkeypatch.setenv("A", "environment")
    monkeypatch.setenv("B", "")
    assert (known.get("A"), known.get("B"), known.get("C")) == ("environment", "file", None)


def test_what_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    known = Secrets(
        {
            "A": "from-file",
            "SHORT": "1234",
            "MLFLOW_TRACKING_URI": "https://me:in-the-uri@example.com",
            "DATABASE": "postgres://me:in%2Fanother@example.com/db",
            "MLFLOW_TRACKING_USERNAME": "somebody",
        }
    )
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "from-environment")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "a-token")
    monkeypatch.setenv("DECLARED", "declared")
    monkeypatch.setenv("OTHER", "no secret")
    assert known.masked(["DECLARED"]) == [
        "1234",  # the masker passes it over
        "a-token",
        "declared",
        "from-environment",
        "from-file",
        "in%2Fanother",
        "in-the-uri",
        "in/another",
        "postgres://me:in%2Fanother@example.com/db",
    ]


def test_a_tracking_uri_that_is_none_masks_all_the_same() -> None:
    assert Secrets({"MLFLOW_TRACKING_URI": "http://[", "A": CANARY}).masked() == [CANARY]


def test_a_secret_is_stored_in_a_new_file_for_its_owner_alone(site: Workspace) -> None:
    site.secrets_file.unlink()
    secrets.store(site, {"PASSWORD": CANARY})
    assert secrets.load(site).values == {"PASSWORD": CANARY}
    assert site.secrets_file.stat().st_mode & 0o777 == 0o600


def test_storing_keeps_every_other_line_as_it_is(site: Workspace) -> None:
    before = "# mine\r\n\r\nA=1\nexport B = two # with a comment\n\nC='x # y'"
    put(site.secrets_file, before)
    secrets.store(site, {"NEW": "1'2"})
    assert site.secrets_file.read_bytes().decode() == before + "\nNEW='1\\'2'\n"
    secrets.store(site, {"A": "changed", "C": "x # y"})
    assert site.secrets_file.read_bytes().decode() == before.replace("A=1", "A='changed'") + "\nNEW='1\\'2'\n"
    assert secrets.load(site).values == {"A": "changed", "B": "two", "C": "x # y", "NEW": "1'2"}


def test_of_several_lines_of_one_name_the_one_that_counts_is_set(site: Workspace) -> None:
    put(site.secrets_file, "A=1\nA=2\n")
    secrets.store(site, {"A": "3"})
    assert site.secrets_file.read_text() == "A=1\nA='3'\n"
    assert secrets.load(site).values == {"A": "3"}


def test_every_line_of_a_name_is_removed_and_no_other(site: Workspace) -> None:
    put(site.secrets_file, "# mine\r\nA=1\n\nexport B='two\nlines' # why\n# after\nA=2\nC=3")
    secrets.store(site, {"B": None, "NEVER": None})
    assert site.secrets_file.read_bytes() == b"# mine\r\nA=1\n\n# after\nA=2\nC=3"
    secrets.store(site, {"A": None, "C": "4"})
    assert site.secrets_file.read_bytes() == b"# mine\r\n\n# after\nC='4'\n"
    assert secrets.load(site).values == {"C": "4"}


def test_storing_what_is_there_touches_nothing(site: Workspace) -> None:
    before = site.secrets_file.stat()
    secrets.store(site, {"API_KEY": CANARY})
    after = site.secrets_file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


AWKWARD = [
    " ", "#", "a #b", "'", '"', "\\", "\\\\", "\\'", '\\"', "'\\", "a\\n", "line\nbreak", "line\r\nbreak\r",
    "\t", "$HOME ${A} `x` $(x)", "=", "a=b", "žluťoučký 🐎", "\ufeff", "\x7f",
    " both ends ", "'quoted'", '"quoted"',
]  # fmt: skip


def test_whatever_the_value_it_is_read_back_as_it_is(site: Workspace) -> None:
    chance = random.Random(7)
    letters = ["\\", "'", '"', "#", " ", "\n", "\r", "=", "$", "a", "é"]
    values = AWKWARD + ["".join(chance.choices(letters, k=chance.randint(1, 9))) for _ in range(150)]
    put(site.secrets_file, "\ufeffFIRST=kept\r\n# comment\n")
    expected = {"FIRST": "kept"}
    for number, value in enumerate(values):
        expected[f"V{number % 60}"] = value
    secrets.store(site, {name: "before" for name in expected if name != "FIRST"})
    secrets.store(site, {name: value for name, value in expected.items() if name != "FIRST"})
    assert secrets.load(site).values == expected
    for value in values[-12:]:  # one after the other, each among what the others left
        secrets.store(site, {"ALONE": value})
        assert secrets.load(site).values == {**expected, "ALONE": value}


@pytest.mark.parametrize("value", ["", "\udce9"])
def test_a_value_that_would_not_be_read_back_is_refused_and_nothing_is_written(
    site: Workspace, value: str
) -> None:
    before = site.secrets_file.read_bytes()
    with fails(SecretsError, f"{site.secrets_file} cannot hold this value of GOOD or BAD."):
        secrets.store(site, {"GOOD": "1", "BAD": value})
    assert site.secrets_file.read_bytes() == before


def test_storing_refuses_what_loading_refuses_and_leaves_no_trace(site: Workspace) -> None:
    (site.root / ".gitignore").unlink()
    site.secrets_file.unlink()
    with fails(SecretsError, f"git would commit {site.secrets_file}: no .gitignore names it."):
        secrets.store(site, {"A": "1"})
    assert not site.secrets_file.exists()
    put(site.root / ".gitignore", "secrets.env\n")
    put(site.secrets_file, "not a line\n").chmod(0o600)
    with fails(SecretsError, f"{site.secrets_file}, line 1: this is not NAME=value."):
        secrets.store(site, {"A": "1"})
    assert site.secrets_file.read_text() == "not a line\n"
    site.secrets_file.chmod(0o644)
    with fails(SecretsError, f"Other users of this machine can read {site.secrets_file}."):
        secrets.store(site, {"A": "1"})


def test_a_store_that_fails_half_way_leaves_the_old_file_and_nothing_else(
    site: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = site.secrets_file.read_bytes()
    monkeypatch.setattr("os.fsync", full)
    with fails(DiskFull, f"{site.secrets_file} cannot be written: No space left on device."):
        secrets.store(site, {"A": "1"})
    assert site.secrets_file.read_bytes() == before
    assert [path.name for path in site.state.iterdir()] == ["secrets.lock"]


def test_several_who_store_at_once_lose_nothing(site: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: secrets.store(site, {f"V{number}": str(number)}), range(24)))
    expected = {"API_KEY": CANARY} | {f"V{number}": str(number) for number in range(24)}
    assert secrets.load(site).values == expected


def test_a_linked_secrets_file_stays_a_link(site: Workspace, tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere" / "kept.env", "A=1\n")
    elsewhere.chmod(0o600)
    site.secrets_file.unlink()
    site.secrets_file.symlink_to(elsewhere)
    secrets.store(site, {"B": "2"})
    assert site.secrets_file.is_symlink()
    assert secrets.load(site).values == {"A": "1", "B": "2"}


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,3}", fullmatch=True)
odd = st.text(st.sampled_from("'\"\\\n\r\t #=$`{}%x\u2028\x0b\x85é"), min_size=1, max_size=8)
values = odd | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
written = st.lists(
    st.sampled_from(
        ["# a comment", "", "  ", "export A = 1", "B='two words'", 'C="a\\nb" # c', "D=", "A=2", "E=$A"]
    ),
    max_size=4,
)


@given(
    before=written, end=st.sampled_from(["", "\n", "\r\n"]), stored=st.dictionaries(names, values | st.none())
)
@settings(deadline=None, database=None, max_examples=60)
def test_what_is_stored_is_read_back_and_every_other_line_stays(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], end: str, stored: dict[str, str | None]
) -> None:
    root = tmp_path_factory.mktemp("site")
    put(root / "trainer.yaml")
    workspace = find(root)
    put(workspace.secrets_file, ((end or "\n").join(before) + end).encode()).chmod(0o600)
    known = secrets.load(workspace).values
    secrets.store(workspace, stored)
    expected = {**known, **stored}
    assert secrets.load(workspace).values == {name: value for name, value in expected.items() if value}
    content = workspace.secrets_file.read_bytes()
    assert all(line.encode() in content for line in before if line.startswith("#"))
    secrets.store(workspace, stored)
    assert workspace.secrets_file.read_bytes() == content

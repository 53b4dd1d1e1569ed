"""Before a version serves: migrations and the first account, with a real PostgreSQL."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tracking_server.containers import ACCOUNT, RELEASE, WEB, once, volume
from tracking_server.services import Postgres

A_FOLDER = ("--tmpfs", "/data:mode=1777")
AWKWARD = (
    "p@ss:word",
    "100%",
    "%41%zz",
    "a/b?c#d",
    "sp ace+plus&and",
    "quo'te\"s\\",
    "$HOME`id`;#",
    "ü-ß-漢",
)


def _refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that would not go on."""
    said = [line for line in (done.stdout + done.stderr).splitlines() if " INFO " not in line]
    assert done.returncode == 1, done
    assert len(said) == 1, said
    return said[0].removeprefix("mlflow_server: ")


def test_two_releases_at_once_both_succeed_and_make_one_account(postgres: Postgres) -> None:
    url = postgres.database()
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: once(RELEASE, {"DATABASE_URL": url}), range(2)))
    assert [done.returncode for done in both] == [0, 0], both
    assert postgres.sql("SELECT username, is_admin FROM users", url.rpartition("/")[2]) == "captain|t"


def test_two_releases_at_once_of_a_new_sqlite_file_both_succeed(host: str) -> None:  # noqa: ARG001
    with volume() as data, ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: once(RELEASE, {}, "--volume", f"{data}:/data"), range(2)))
        assert [done.returncode for done in both] == [0, 0], both


def test_every_awkward_password_of_a_database_gets_through(postgres: Postgres, released: str) -> None:
    urls = []
    for number, password in enumerate(AWKWARD):
        role = f"role_{number}"
        literal = password.replace("'", "''")
        postgres.sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{literal}'")
        urls.append(
            f"postgres://{role}:{quote(password, safe='')}@{postgres.host}:{postgres.port}/{released}"
        )
        if "%41" not in password and password.isascii():  # `%41` unencoded would be an A
            urls.append(f"postgres://{role}:{password}@{postgres.host}:{postgres.port}/{released}")
    # All in one container: to connect, and to connect with what MLflow reads in the accounts' file.
    script = (
        "import configparser, sys\n"
        "from mlflow_server import connection, database_url, environment\n"
        "for url in sys.stdin.read().split('\\n'):\n"
        "    ready = database_url.normalise(url)\n"
        "    connection.connect(ready)\n"
        "    file = configparser.ConfigParser()\n"
        "    file.read(environment._accounts_file(ready))\n"
        "    connection.connect(file['mlflow']['database_uri'])\n"
        "    print('connected')\n"
    )
    done = once(("python", "-c", script), {}, "--interactive", stdin="\n".join(urls))
    assert done.stdout.split() == ["connected"] * len(urls), done.stderr


def test_a_release_with_an_awkward_password_migrates_and_says_nothing_of_it(postgres: Postgres) -> None:
    postgres.sql("CREATE ROLE awkward LOGIN PASSWORD 'canary%41@:/%%'")
    url = postgres.database()
    name = url.rpartition("/")[2]
    postgres.sql(f"ALTER DATABASE {name} OWNER TO awkward")
    encoded = quote("canary%41@:/%%", safe="")
    done = once(
        RELEASE, {"DATABASE_URL": f"postgresql://awkward:{encoded}@{postgres.host}:{postgres.port}/{name}"}
    )
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_a_second_release_changes_nothing_and_tells_of_a_password_that_does_not_count(
    postgres: Postgres, database: str
) -> None:
    before = postgres.sql("SELECT password_hash FROM users", database.rpartition("/")[2])
    done = once(RELEASE, {"DATABASE_URL": database, "MLFLOW_AUTH_ADMIN_PASSWORD": "another-password"})
    assert done.returncode == 0, done.stderr
    assert "not the password of captain" in done.stderr
    assert postgres.sql("SELECT password_hash FROM users", database.rpartition("/")[2]) == before


def test_a_release_that_is_told_to_resets_the_administrators_password(
    postgres: Postgres, database: str
) -> None:
    name = database.rpartition("/")[2]
    before = postgres.sql("SELECT password_hash FROM users", name)
    postgres.sql("UPDATE users SET is_admin = false", name)
    new = {"MLFLOW_AUTH_ADMIN_PASSWORD": "canary-another-password", "RESET_ADMIN_PASSWORD": "1"}
    done = once(RELEASE, {"DATABASE_URL": database, **new})
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert "not the password" not in done.stderr
    assert postgres.sql("SELECT password_hash FROM users", name) != before
    assert postgres.sql("SELECT is_admin FROM users", name).strip() == "t"


def test_a_schema_that_is_empty_or_older_is_not_served(postgres: Postgres, database: str) -> None:
    postgres.sql("UPDATE alembic_version_auth SET version_num = '8606fa83a998'", database.rpartition("/")[2])
    for url in (postgres.database(), database):
        said = _refusal(once(WEB, {"DATABASE_URL": url}, *A_FOLDER))
        assert said.startswith("The database's schema is not that of this version of MLflow.")
        assert said.endswith("run: python -m mlflow_server release")


def test_a_schema_of_a_newer_version_is_left_as_it_is(postgres: Postgres, database: str) -> None:
    postgres.sql("UPDATE alembic_version SET version_num = 'ffffffffffff'", database.rpartition("/")[2])
    said = _refusal(once(RELEASE, {"DATABASE_URL": database}))
    assert "ffffffffffff" in said
    assert said.endswith("deploy that version.")


@pytest.mark.parametrize("command", [WEB, RELEASE])
def test_a_wrong_password_of_the_database_is_reported_at_once(
    postgres: Postgres, released: str, command: tuple[str, ...]
) -> None:
    wrong = postgres.url(released).replace("canary-db", "canary-xy")
    said = _refusal(once(command, {"DATABASE_URL": wrong}, *A_FOLDER))
    assert "password authentication failed" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_FLASK_SERVER_SECRET_KEY", ""),
        ("MLFLOW_AUTH_ADMIN_PASSWORD", "elevenchars"),
        ("MLFLOW_AUTH_ADMIN_USERNAME", "admin"),
    ],
)
@pytest.mark.parametrize("command", [WEB, RELEASE])
def test_what_is_missing_ends_the_server_with_one_line(
    host: str,  # noqa: ARG001
    command: tuple[str, ...],
    name: str,
    value: str,
) -> None:
    said = _refusal(once(command, {name: value}))
    assert name in said
    assert ACCOUNT["MLFLOW_AUTH_ADMIN_PASSWORD"] not in said


def test_a_volume_of_another_user_and_no_volume_are_reported_in_one_line(host: str) -> None:  # noqa: ARG001
    assert "Uid 48213 cannot write in /data" in _refusal(once(RELEASE, {}))  # a read-only container
    with volume() as data:
        theirs = once(
            ("sh", "-c", "touch /data/file; chown 1234 /data; chmod 755 /data"),
            {},
            "--volume",
            f"{data}:/data",
            user="0",
        )
        assert theirs.returncode == 0, theirs.stderr
        for command in (WEB, RELEASE):
            # (A volume with nothing in it would get the image's own /data again.)
            said = _refusal(once(command, {}, "--volume", f"{data}:/data"))
            assert "cannot write in /data, which belongs to uid 1234 " in said
            assert "chown -R 48213" in said


def test_a_bucket_without_a_disk_to_pass_through_is_refused(database: str) -> None:
    said = _refusal(once(WEB, {"DATABASE_URL": database, "S3_BUCKET": "artifacts"}))
    assert "pass through /tmp, which is in memory. Mount a volume at /data" in said

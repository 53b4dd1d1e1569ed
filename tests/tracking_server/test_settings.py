"""What the server makes of its environment; no engine is needed."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from mlflow_server import addresses, database_url, settings, storage
from mlflow_server.refusal import Refusal
from sqlalchemy.engine import make_url

from tracking_server.containers import ACCOUNT

DYNO = {**ACCOUNT, "DYNO": "web.1", "HEROKU_APP_NAME": "runs", "DATABASE_URL": "postgres://u:p@h/d"}
BUCKETEER = {
    "BUCKETEER_BUCKET_NAME": "bucketeer-1",
    "BUCKETEER_AWS_ACCESS_KEY_ID": "id",
    "BUCKETEER_AWS_SECRET_ACCESS_KEY": "secret",
    "BUCKETEER_AWS_REGION": "eu-west-1",
}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
@pytest.mark.parametrize("password", ["p@ss:w/rd?#", "100%", "%zz", "a b+c", "ü", "", "%2541"])
def test_a_database_url_names_its_driver_and_keeps_its_password(scheme: str, password: str) -> None:
    url = make_url(
        database_url.normalise(f"{scheme}://us%40er:{quote(password, safe='')}@db.example:5433/runs")
    )
    assert url.drivername == "postgresql+psycopg2"
    assert (url.username, url.password or "") == ("us@er", password)
    assert (url.host, url.port, url.database) == ("db.example", 5433, "runs")


@pytest.mark.parametrize("password", ["p@ss", "a:b", "a/b@c", "100%", "50%off", "#?&"])
def test_a_password_that_nobody_encoded_is_accepted(password: str) -> None:
    url = make_url(database_url.normalise(f"postgres://user:{password}@db.example/runs?sslmode=require"))
    assert url.password == password
    assert (url.host, url.query) == ("db.example", {"sslmode": "require"})


def test_a_socket_an_ip6_host_and_sqlite_are_addresses_too() -> None:
    assert make_url(database_url.normalise("postgres:///runs?host=/run/pg")).query == {"host": "/run/pg"}
    assert make_url(database_url.normalise("postgres://u:p@[::1]:5432/runs")).host == "::1"
    assert database_url.normalise(" sqlite:////data/runs.db\n") == "sqlite:////data/runs.db"


@pytest.mark.parametrize("url", ["mysql://u:p@h/d", "u:p@h/d", "postgres://u:p@h:port/d", "sqlite:runs.db"])
def test_another_database_is_refused_without_showing_the_url(url: str) -> None:
    with pytest.raises(Refusal) as refused:
        database_url.normalise(url)
    assert "DATABASE_URL" in str(refused.value)
    assert "p@h" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"MLFLOW_AUTH_ADMIN_USERNAME": ""}, "MLFLOW_AUTH_ADMIN_USERNAME is not set"),
        ({"MLFLOW_AUTH_ADMIN_USERNAME": "Admin"}, "guessed first"),
        ({"MLFLOW_AUTH_ADMIN_USERNAME": "a:b"}, "no colon"),
        ({"MLFLOW_AUTH_ADMIN_PASSWORD": ""}, "MLFLOW_AUTH_ADMIN_PASSWORD is not set"),
        ({"MLFLOW_AUTH_ADMIN_PASSWORD": "elevenchars"}, "has 11 characters"),
        ({"MLFLOW_AUTH_ADMIN_PASSWORD": "пароль-достаточный"}, "not ASCII"),
        ({"MLFLOW_FLASK_SERVER_SECRET_KEY": ""}, "MLFLOW_FLASK_SERVER_SECRET_KEY is not set"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS holds '*'"),
        ({"ALLOWED_HOSTS": "https://runs.example"}, "ALLOWED_HOSTS holds 'https://runs.example'"),
        ({"FORCE_HTTPS": "1"}, "no name to answer to"),
        ({"S3_BUCKET": "b", "AWS_ACCESS_KEY_ID": "id"}, "Set both, or none"),
        ({**BUCKETEER, "BUCKETEER_AWS_REGION": ""}, "BUCKETEER_AWS_REGION is not"),
        ({**DYNO, **BUCKETEER, "DATABASE_URL": ""}, "emptied every day"),
        (DYNO, "There is no bucket"),
        ({**DYNO, **BUCKETEER, "HEROKU_APP_NAME": ""}, "runtime-dyno-metadata"),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(change: dict[str, str], says: str) -> None:
    with pytest.raises(Refusal, match=says) as refused:
        settings.read({**ACCOUNT, **change})
    assert "\n" not in str(refused.value)


def test_secrets_are_not_in_the_text_of_the_settings() -> None:
    text = repr(settings.read({**DYNO, **BUCKETEER, "DATABASE_URL": "postgres://u:canary-url@h/d"}))
    assert "canary" not in text
    assert "secret'" not in text


def test_a_laptop_is_reached_by_its_own_names_on_any_port() -> None:
    result = addresses.read({}, 5000)
    assert result.hosts == ("localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[[]::1]:*")
    assert not result.behind_router
    assert addresses.read({"ALLOWED_HOSTS": "Runs.lan"}, 5000).origins == (
        "http://runs.lan",
        "http://runs.lan:5000",
        "https://runs.lan",
        "https://runs.lan:5000",
    )


@pytest.mark.parametrize(
    ("platform", "name"),
    [
        (
            {"DYNO": "web.1", "HEROKU_APP_DEFAULT_DOMAIN_NAME": "runs-1f.herokuapp.com"},
            "runs-1f.herokuapp.com",
        ),
        ({"DYNO": "web.1", "HEROKU_APP_NAME": "runs"}, "runs.herokuapp.com"),
        ({"RENDER": "true", "RENDER_EXTERNAL_HOSTNAME": "runs.onrender.com"}, "runs.onrender.com"),
        ({"FLY_APP_NAME": "runs"}, "runs.fly.dev"),
        ({"FORCE_HTTPS": "true", "ALLOWED_HOSTS": "runs.example"}, "runs.example"),
    ],
)
def test_a_platform_names_the_server_and_its_pages_come_by_https(platform: dict[str, str], name: str) -> None:
    result = addresses.read(platform, 5000)
    assert result.behind_router
    assert name in result.hosts
    assert result.origins == (f"https://{name}",)


def test_a_router_can_be_denied_where_a_platform_has_none() -> None:
    assert not addresses.read({"FLY_APP_NAME": "runs", "FORCE_HTTPS": "0"}, 5000).behind_router


def test_bucketeers_variables_are_what_boto3_reads() -> None:
    result = storage.read(BUCKETEER)
    assert result.destination == "s3://bucketeer-1"
    assert result.variables == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


def test_an_own_bucket_goes_before_bucketeers_and_may_have_a_prefix() -> None:
    result = storage.read({**BUCKETEER, "S3_BUCKET": "s3://own/runs/", "AWS_REGION": "us-east-2"})
    assert result.destination == "s3://own/runs"
    assert result.variables == {"AWS_DEFAULT_REGION": "us-east-2"}


def test_a_bucket_is_private_where_that_is_said() -> None:
    assert not storage.read({"S3_BUCKET": "own"}).is_private
    assert storage.read({"S3_BUCKET": "own", "S3_PRIVATE": "1"}).is_private


def test_without_a_bucket_artifacts_are_files() -> None:
    assert storage.read({}).destination == "/data/artifacts"
    assert storage.read({"ARTIFACTS_DIR": "/mnt/runs"}).destination == "/mnt/runs"

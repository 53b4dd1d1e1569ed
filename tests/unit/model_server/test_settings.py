from __future__ import annotations

from pathlib import Path

import pytest
from model_server import settings
from trainkit.errors import InputError

TOKEN = "0123456789abcdef"


def test_without_a_token_it_listens_on_loopback_alone() -> None:
    assert settings.read(["m.onnx"], {}).host == "127.0.0.1"
    assert settings.read(["m.onnx", "--host", "::1"], {}).token is None
    for host in ("0.0.0.0", "10.0.0.1", "example.org"):
        with pytest.raises(InputError, match="Without a token the server listens on loopback alone"):
            settings.read(["m.onnx", "--host", host], {})
        assert settings.read(["m.onnx", "--host", host], {settings.TOKEN: TOKEN}).host == host
        assert settings.read(["m.onnx", "--host", host, "--published-on-loopback"], {}).host == host


def test_the_token_comes_from_a_file_or_the_environment_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    for environment in ({settings.TOKEN_FILE: str(tmp_path / "token")}, {settings.TOKEN: TOKEN}):
        read = settings.read(["m.onnx"], environment)
        assert read.token == TOKEN
        assert TOKEN not in repr(read)
        assert read.hosts == ()


@pytest.mark.parametrize("token", ["2-short", "with space 0123456789", "ümlaut-0123456789abc", "a\nb" * 10])
def test_a_token_that_cannot_be_is_refused_and_not_printed(token: str) -> None:
    with pytest.raises(InputError) as raised:
        settings.read(["m.onnx"], {settings.TOKEN: token})
    assert token not in raised.value.message + raised.value.hint


def test_a_file_with_the_token_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        settings.read(["m.onnx"], {settings.TOKEN_FILE: str(tmp_path / "none")})


def test_the_name_is_that_of_the_file_unless_another_is_given() -> None:
    assert settings.read(["/models/skin.onnx"], {}).name == "skin"
    assert settings.read(["/models/skin.onnx", "--name", "moles"], {}).name == "moles"


def test_the_port_is_the_platforms_unless_another_is_given() -> None:
    assert settings.read(["m.onnx"], {}).port == 8080
    assert settings.read(["m.onnx"], {"PORT": "5123"}).port == 5123
    assert settings.read(["m.onnx", "--port", "99"], {"PORT": "5123"}).port == 99
    for port in ("no", "0", "65536", "-1"):
        with pytest.raises(InputError, match=f"The port in \\$PORT is '{port}'"):
            settings.read(["m.onnx"], {"PORT": port})

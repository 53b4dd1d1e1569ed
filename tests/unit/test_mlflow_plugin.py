"""What `mlflow run --backend trainer-docker` is told and cannot do is named."""

import pytest
from mlflow.exceptions import ExecutionException
from mlflow.projects import utils
from trainer import mlflow_plugin
from trainer.errors import InvalidInput
from trainer.workspace.settings import Workspace

from unit.helpers import fails, put


@pytest.mark.parametrize(
    ("key", "value", "option", "hint"),
    [
        (utils.PROJECT_DOCKER_AUTH, {"username": "me"}, "docker_auth", "`docker login`."),
        (utils.PROJECT_ENV_MANAGER, "conda", "--env-manager", "made by uv."),
        (utils.PROJECT_DOCKER_ARGS, {"gpus": "all"}, "--docker-args", "yes."),
    ],
)
def test_an_option_of_mlflows_that_is_not_honoured(key: str, value: object, option: str, hint: str) -> None:
    with fails(InvalidInput, f"{option} is not honoured by this backend."):
        mlflow_plugin._options({key: value})
    with pytest.raises(InvalidInput) as caught:
        mlflow_plugin._options({key: value})
    assert caught.value.hint.endswith(hint)


def test_what_mlflow_puts_there_unasked_is_no_option() -> None:
    unasked: dict[str, object] = {
        utils.PROJECT_DOCKER_ARGS: {},
        utils.PROJECT_DOCKER_AUTH: None,
        utils.PROJECT_ENV_MANAGER: None,
    }
    assert mlflow_plugin._options({**unasked, utils.PROJECT_STORAGE_DIR: None, "memory": "8g"}) == {
        "memory": "8g"
    }


def test_an_error_shows_mlflow_no_secret(workspace: Workspace) -> None:
    put(workspace.secrets_file, "API_KEY=canary-7f3a\n").chmod(0o600)
    with pytest.raises(ExecutionException, match=r"^--memory \*\*\* is invalid"):
        mlflow_plugin.DockerProjectBackend().run(
            str(workspace.projects / "demo"), "main", {}, None, {"memory": "canary-7f3a"}, "", ""
        )

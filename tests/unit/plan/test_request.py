import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.images.external import ExternalImage
from trainer.plan import limits, request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.plan.target import Target
from trainer.projects import mlproject
from trainer.projects.mounts import Mount
from trainer.workspace.settings import Workspace, find

from unit.helpers import DOCKER, LOCAL, fails, put, run_plan


def make(workspace: Workspace, backend: Target = DOCKER, **said: object) -> RunPlan:
    project = mlproject.load(workspace.projects / "demo")
    return request.make(workspace, RunRequest(project, "train_code/demo", backend, **said))  # type: ignore[arg-type]


def test_a_plan_of_defaults(workspace: Workspace) -> None:
    made = make(workspace)
    assert (made.code.project, made.code.source, made.code.entry_point) == ("demo", "train_code/demo", "main")
    assert (made.tracking.experiment, made.tracking.run_name, made.backend) == ("demo", None, "docker")
    assert made.command == ("python", "train.py", "3", "0.1", "tree", "8", "", "no")
    assert made.image.tag.startswith("trainer/small:")
    assert made.inputs.mounts == (
        Mount(f"trainer-cache-{os.getuid()}", "/cache", read_only=False, kind="volume"),
    )
    assert (made.resources.gpus, made.resources.memory, made.resources.shared_memory) == ("none", None, "2g")
    assert (made.resources.pids_limit, made.resources.read_only) == (4096, False)
    assert made.environment.variables == {
        "MODE": "fast",
        "TRAINER_DATA_DIR": "/data",
        "TRAINER_CACHE_DIR": "/cache",
        "TRAINER_GPUS": "none",
        "MPLCONFIGDIR": "/cache/matplotlib",
        "GIT_PYTHON_REFRESH": "quiet",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    }


def test_the_metric_that_the_project_is_judged_by_is_a_tag(workspace: Workspace) -> None:
    project = workspace.projects / "demo" / "MLproject"
    project.write_text(f"primary_metric: test_accuracy\n{project.read_text()}")
    assert make(workspace, tags={"a": "b"}).tracking.tags == {
        "trainer.primary_metric": "test_accuracy",
        "a": "b",
    }
    project.write_text(project.read_text().replace("test_accuracy", "[a, b]", 1))
    with fails(
        InvalidInput,
        f"{project}: primary_metric is no text, but ['a', 'b'].",
        "Write one: `primary_metric: NAME`.",
    ):
        make(workspace)


def test_planning_creates_nothing(workspace: Workspace) -> None:
    before = sorted(workspace.root.rglob("*"))
    make(workspace)
    assert sorted(workspace.root.rglob("*")) == before


def test_data_and_paths_are_mounted_read_only(workspace: Workspace) -> None:
    workspace.data.mkdir()
    table = put(workspace.root / "my table.csv")
    values = {"name": "n", "source": "s3://b/k", "table": "my table.csv"}
    made = make(workspace, entry_point="strict", parameters=values)
    assert made.inputs.mounts[1:] == (
        Mount(str(workspace.data), "/data", optional=True),
        Mount(str(table), "/inputs/table/my table.csv"),
    )
    assert made.command == ("python", "strict.py", "n", "s3://b/k", "/inputs/table/my table.csv")
    assert made.inputs.parameters["table"] == str(table)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{epochs: many}", "--epochs is 'many', which is not of type int."),
        ("{kind: bush}", "--kind is 'bush', which is not one of its choices."),
    ],
)
def test_a_wrong_value_of_trainer_yaml_is_said_to_be_there(
    workspace: Workspace, said: str, message: str
) -> None:
    path = put(workspace.root / "trainer.yaml", f"parameters: {{demo: {said}}}\n")
    with fails(InvalidInput, f"{path}: {message}"):
        make(find(workspace.root))
    # Where another value is given, it is not used.
    make(find(workspace.root), parameters={"epochs": "5", "kind": "tree"})


def test_a_dataset_of_trainer_yaml_that_is_not_there_is_said_to_be_there(workspace: Workspace) -> None:
    put(
        workspace.projects / "demo" / "MLproject",
        "entry_points: {main: {parameters: {set: {dataset: true, default: a}}, command: a}}\n",
    )
    path = put(workspace.root / "trainer.yaml", "parameters: {demo: {set: skins}}\n")
    with fails(InvalidInput, f"{path}: --set names skins, which is not in {workspace.data}."):
        make(find(workspace.root))


def test_the_local_backend_sees_the_host(workspace: Workspace) -> None:
    table = put(workspace.root / "table.csv")
    values = {"name": "n", "source": "s3://b/k", "table": "table.csv"}
    made = make(workspace, entry_point="strict", parameters=values, backend=LOCAL)
    assert made.inputs.mounts == ()
    assert made.command[-1] == str(table)
    assert made.environment.variables["TRAINER_DATA_DIR"] == str(workspace.data)
    assert made.environment.variables["TRAINER_CACHE_DIR"] == str(workspace.state / "cache")


def test_the_request_is_followed(workspace: Workspace) -> None:
    made = make(workspace, experiment="e", run_name="r", tags={"a": "b"}, gpus="device=0,1", memory="512M")
    assert (made.tracking.experiment, made.tracking.run_name, made.tracking.tags) == ("e", "r", {"a": "b"})
    assert (made.resources.gpus, made.resources.memory) == ("device=0,1", "512m")


@pytest.mark.parametrize("memory", ["6m", "512m", "8g", "8G", "7000K"])
def test_every_size_that_is_taken_has_a_number_of_bytes(workspace: Workspace, memory: str) -> None:
    made = make(workspace, memory=memory)
    assert made.resources.memory
    assert limits.bytes_of(made.resources.memory) == limits.bytes_of(memory)


def test_what_trainer_yaml_says_of_containers_holds_unless_the_request_says_else(
    workspace: Workspace,
) -> None:
    put(workspace.root / "trainer.yaml", "shm_size: 8G\npids_limit: 99\nread_only: true\n")
    site = find(workspace.root)
    made = make(site)
    assert (made.resources.shared_memory, made.resources.pids_limit, made.resources.read_only) == (
        "8G",
        99,
        True,
    )
    assert not make(site, read_only=False).resources.read_only


def test_sizes_in_bytes() -> None:
    assert [limits.bytes_of(size) for size in ("3k", "3m", "3g")] == [3 << 10, 3 << 20, 3 << 30]


@pytest.mark.parametrize(
    "memory", ["", "8", "g", "0g", "8gb", "-8g", "8 g", "8t", "1.5g", "8g\n", "9999999999g"]
)
def test_another_size_is_refused(workspace: Workspace, memory: str) -> None:
    with fails(InvalidInput, f"--memory {memory} is invalid.", "Use a number and k, m or g: 512m, 8g."):
        make(workspace, memory=memory)


@pytest.mark.parametrize("memory", ["1k", "5m", "6143k"])
def test_less_memory_than_an_engine_takes_is_refused(workspace: Workspace, memory: str) -> None:
    with fails(InvalidInput, f"--memory {memory} is less than an engine takes: 6m."):
        make(workspace, memory=memory)


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"image": "UPPER/x y"}, "--image is 'UPPER/x y'"),
        ({"image": "team/x:"}, "--image is 'team/x:'"),
        ({"base_image": "Debian"}, "--base-image is 'Debian'"),
        ({"base_image": ""}, "--base-image is ''"),
    ],
)
def test_what_is_no_reference_to_an_image_is_refused(
    workspace: Workspace, said: dict[str, str], where: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{re.escape(where)}, which is not an image reference"):
        make(workspace, DOCKER, **said)


@pytest.mark.parametrize("gpus", ["none", "all", "1", "12", "device=0", "device=0,1", "device=GPU-3a-4"])
def test_gpus(workspace: Workspace, gpus: str) -> None:
    assert make(workspace, gpus=gpus).resources.gpus == gpus


@pytest.mark.parametrize("gpus", ["", "0", "-1", "some", "device=", "device=0;ls", "device=,", "1 ", "99999"])
def test_other_gpus_are_refused(workspace: Workspace, gpus: str) -> None:
    with fails(InvalidInput, f"--gpus {gpus} is invalid.", "Use none, all, a number, or device=0,1."):
        make(workspace, gpus=gpus)


def test_an_image_for_gpus_asks_for_all_unless_told_otherwise(workspace: Workspace) -> None:
    put(workspace.images / "small" / "image.yaml", "gpu: true")
    assert make(workspace).resources.gpus == "all"
    assert make(workspace, gpus="none").resources.gpus == "none"


def test_the_plan_as_json(workspace: Workspace) -> None:
    made = make(workspace)
    payload = json.loads(json.dumps(made.as_json()))
    assert payload["folder"] == str(workspace.projects / "demo")
    assert payload["image"] == {
        "name": "small",
        "tag": made.image.tag,
        "digest": made.image.digest,
        "requirements_digest": made.image.requirements_digest,
        "base_image": "python:3.11-slim-bookworm",
    }


@pytest.mark.parametrize("known", [{}, {"API_KEY": None}, {"API_KEY": ""}])
def test_a_declared_variable_that_is_not_set(tmp_path: Path, known: Mapping[str, str | None]) -> None:
    with fails(
        InvalidInput,
        "demo needs the variable API_KEY, which is not set.",
        "trainer secrets set API_KEY, or set it in the environment.",
    ):
        request.secret_values(run_plan(tmp_path), known)


def test_declared_variables_and_no_others_are_handed_on(tmp_path: Path) -> None:
    known = {"API_KEY": "hunter2", "OTHER": "x"}
    assert request.secret_values(run_plan(tmp_path), known) == {"API_KEY": "hunter2"}


def on_data(workspace: Workspace, value: str, backend: Target = DOCKER, **said: object) -> RunPlan:
    put(
        workspace.projects / "images" / "MLproject",
        "name: images\ndocker_env: {image: trainer/small}\nentry_points: {main: {parameters: "
        "{data: {type: string, dataset: true, default: data_4}}, command: 'python train.py {data}'}}\n",
    )
    project = mlproject.load(workspace.projects / "images")
    asked = RunRequest(project, "images", backend, parameters={"data": value}, **said)  # type: ignore[arg-type]
    return request.make(workspace, asked)


@pytest.mark.parametrize("value", ["data_4", "group/data_4", "table.csv"])
def test_a_dataset_is_a_name_in_data(workspace: Workspace, value: str) -> None:
    put(workspace.data / "data_4" / "a" / "1.jpg")
    put(workspace.data / "group" / "data_4" / "a" / "1.jpg")
    put(workspace.data / "table.csv")
    assert on_data(workspace, value).command == ("python", "train.py", value)


def test_a_uri_is_a_dataset_too(workspace: Workspace) -> None:
    assert on_data(workspace, "https://example.com/t.csv").command[-1] == "https://example.com/t.csv"


def test_a_run_needs_the_folder_data_where_it_is_given_something_of_it(workspace: Workspace) -> None:
    put(workspace.data / "data_4" / "a" / "1.jpg")
    assert on_data(workspace, "data_4").inputs.mounts[1] == Mount(str(workspace.data), "/data")
    elsewhere = on_data(workspace, "https://example.com/t.csv")
    assert elsewhere.inputs.mounts[1] == Mount(str(workspace.data), "/data", optional=True)


@pytest.mark.parametrize("value", ["", "/etc", "../data/data_4", "a/../../b"])
def test_what_is_no_name_in_data_is_refused(workspace: Workspace, value: str) -> None:
    put(workspace.data / "data_4" / "a" / "1.jpg")
    with fails(InvalidInput, f"--data is {value!r}, which is not the name of a dataset."):
        on_data(workspace, value)


def test_a_dataset_that_is_missing_is_reported_with_the_nearest_or_how_to_make_one(
    workspace: Workspace,
) -> None:
    missing = f"--data names data_4, which is not in {workspace.data}."
    with fails(InvalidInput, missing, "Put it there; or make up one to try with: trainer data sample demo"):
        on_data(workspace, "data_4")
    with fails(
        InvalidInput,
        f"--data names a.csv, which is not in {workspace.data}.",
        "Put it there; or make up one to try with: trainer data sample --table demo.csv",
    ):
        on_data(workspace, "a.csv")
    put(workspace.data / "README.md")
    put(workspace.data / ".gitignore")
    put(workspace.data / "data_24" / "a" / "1.jpg")
    with fails(InvalidInput, missing, "Did you mean data_24?"):
        on_data(workspace, "data_4")


@pytest.mark.parametrize(
    ("default", "hint"),
    [
        ("data_4", "There are iris, wine. Or make up one to try with: trainer data sample data_4"),
        ("all.csv", "There are iris, wine. Or make up one to try with: trainer data sample --table all.csv"),
        ("best.pt", "There are iris, wine."),
    ],
)
def test_a_default_dataset_that_is_missing_can_be_made_up(
    workspace: Workspace, default: str, hint: str
) -> None:
    put(
        workspace.projects / "nets" / "MLproject",
        "name: nets\ndocker_env: {image: trainer/small}\nentry_points: {main: {command: train, parameters: "
        f"{{data: {{dataset: true, default: {default}, choices: [iris, wine]}}}}}}}}\n",
    )
    project = mlproject.load(workspace.projects / "nets")
    message = f"--data is {default!r}, which is neither one of its choices nor in {workspace.data}."
    with fails(InvalidInput, message, hint):
        request.make(workspace, RunRequest(project, "train_code/nets", DOCKER))
    message = f"--data is 'skins', which is neither one of its choices nor in {workspace.data}."
    with fails(InvalidInput, message, "There are iris, wine."):
        request.make(workspace, RunRequest(project, "train_code/nets", DOCKER, parameters={"data": "skins"}))


def on_table(workspace: Workspace, **values: str) -> RunPlan:
    put(
        workspace.projects / "tables" / "MLproject",
        "name: tables\ndocker_env: {image: trainer/small}\nentry_points: {main: {parameters: {"
        "target: {type: string, default: last, column_of: data}, "
        "drop: {type: string, default: none, column_of: data}, "
        "file: {type: path, default: MLproject}, "
        "by: {type: string, default: '', column_of: file}, "
        "data: {type: string, dataset: true, default: customers.csv}}, "
        "command: 'python train.py {data} {target} {drop} {by} {file}'}}\n",
    )
    project = mlproject.load(workspace.projects / "tables")
    return request.make(workspace, RunRequest(project, "tables", DOCKER, parameters=values))


HEADER = "\ufeffcustomer_id;Age; city ;last, first;churned\r\n1;2;3;4;5\r\n2;2;3;4;5\r\n"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"target": "churned"},
        {"target": "last, first", "drop": "customer_id,Age, city"},
        {"target": "last", "drop": "none"},
        {"data": "https://example.com/t.csv", "target": "anything"},
        {"data": "skins", "target": "anything"},
        {"data": "table.bin", "target": "anything"},
    ],
)
def test_columns_of_a_table_are_named(workspace: Workspace, values: dict[str, str]) -> None:
    put(workspace.data / "customers.csv", HEADER)
    put(workspace.data / "skins" / "a" / "1.jpg")
    (workspace.data / "table.bin").write_bytes(b"\xff\xfe\x00")
    plan = on_table(workspace, **values)
    assert plan.inputs.parameters["target"] == values.get("target", "last")


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        (
            {"target": "churn"},
            "--target names churn, which is not a column of customers.csv.",
            "Did you mean churned?",
        ),
        (
            {"drop": "customer_id,age"},
            "--drop names age, which is not a column of customers.csv.",
            "Did you mean Age?",
        ),
        (
            {"target": "zzzz"},
            "--target names zzzz, which is not a column of customers.csv.",
            "Its columns are customer_id, Age, city, last, first, churned.",
        ),
    ],
)
def test_a_column_that_the_table_does_not_have_is_refused_with_the_nearest(
    workspace: Workspace, values: dict[str, str], message: str, hint: str
) -> None:
    put(workspace.data / "customers.csv", HEADER)
    with fails(InvalidInput, message, hint):
        on_table(workspace, **values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"target": "Age,city"}, "--target is 'Age,city', which are 2 columns."),
        ({"target": "Age", "drop": "city,Age"}, "--drop names Age, which is the target."),
        ({"drop": "churned"}, "--drop names churned, which is the target."),
        ({"data": "header.csv"}, "header.csv has no rows below its header."),
        ({"data": "one.csv"}, "one.csv has 1 row below its header."),
        ({"data": "parts"}, "{data}/parts is a folder, and what is learnt is one CSV file."),
    ],
)
def test_what_a_run_would_refuse_of_a_table_is_refused_before_it(
    workspace: Workspace, values: dict[str, str], message: str
) -> None:
    put(workspace.data / "customers.csv", HEADER)
    put(workspace.data / "header.csv", "a,b\n\n")
    put(workspace.data / "one.csv", "a,b\n1,2\n")
    put(workspace.data / "parts" / "train.csv", HEADER)
    with fails(InvalidInput, message.format(data=workspace.data)):
        on_table(workspace, **values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "customers.csv is empty."),
        (b"a,b,a\n1,2,3\n", "customers.csv has two columns 'a'."),
        ("größe,b\n1,2\n".encode("latin-1"), "customers.csv is not UTF-8."),
    ],
)
def test_a_table_without_a_header_is_refused(workspace: Workspace, content: bytes, message: str) -> None:
    put(workspace.data / "customers.csv", content)
    with fails(InvalidInput, message):
        on_table(workspace)


def test_a_column_of_a_file_that_a_path_names(workspace: Workspace) -> None:
    put(workspace.data / "customers.csv", HEADER)
    table = put(workspace.root / "other.csv", "a,b\n1,2\n")
    assert on_table(workspace, file=str(table), by="b").inputs.parameters["by"] == "b"
    with fails(InvalidInput, "--by names bb, which is not a column of other.csv.", "Did you mean b?"):
        on_table(workspace, file=str(table), by="bb")


def test_a_column_that_trainer_yaml_names_is_said_to_be_there(workspace: Workspace) -> None:
    put(workspace.data / "customers.csv", HEADER)
    path = put(workspace.root / "trainer.yaml", "parameters: {tables: {target: churn}}\n")
    with fails(InvalidInput, f"{path}: --target names churn, which is not a column of customers.csv."):
        on_table(find(workspace.root))


@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_a_linked_dataset_is_mounted_where_its_link_leads(
    workspace: Workspace, tmp_path: Path, link: str
) -> None:
    elsewhere = tmp_path / "disk" / "derm"
    put(elsewhere / "a" / "1.jpg")
    workspace.data.mkdir()
    (workspace.data / "data_4").symlink_to(elsewhere if link == "absolute" else "../../disk/derm")
    seen = str(elsewhere) if link == "absolute" else "/disk/derm"
    assert on_data(workspace, "data_4").inputs.mounts[2:] == (Mount(str(elsewhere), seen),)
    assert on_data(workspace, "data_4", backend=LOCAL).inputs.mounts == ()


def test_a_folder_in_a_linked_dataset_is_seen_too(workspace: Workspace, tmp_path: Path) -> None:
    put(tmp_path / "disk" / "derm" / "inner" / "a" / "1.jpg")
    workspace.data.mkdir()
    (workspace.data / "data_4").symlink_to(tmp_path / "disk" / "derm")
    elsewhere = str(tmp_path / "disk" / "derm")
    assert on_data(workspace, "data_4/inner").inputs.mounts[2:] == (Mount(elsewhere, elsewhere),)


def test_a_link_within_data_needs_no_mount_of_its_own(workspace: Workspace) -> None:
    put(workspace.data / "data_24" / "a" / "1.jpg")
    (workspace.data / "data_4").symlink_to("data_24")
    assert len(on_data(workspace, "data_4").inputs.mounts) == 2


def test_another_image_can_be_chosen_by_name_or_alias(workspace: Workspace) -> None:
    put(workspace.images / "big" / "image.yaml", "{aliases: [gpu], gpu: true}")
    put(workspace.images / "big" / "requirements.txt", "mlflow==3.17.2 --hash=sha256:00\n")
    made = make(workspace, image="gpu")
    assert made.image.name == "big"
    assert (made.resources.gpus, made.environment.variables["TRAINER_GPUS"]) == ("all", "all")
    with fails(InvalidInput, "There is no trainer image bog.", "Did you mean big?"):
        make(workspace, image="bog")


def load(workspace: Workspace, text: str) -> mlproject.Project:
    put(workspace.root / "theirs" / "MLproject", text + "entry_points: {main: {command: a}}\n")
    return mlproject.load(workspace.root / "theirs")


def test_an_image_that_is_not_ours_is_taken_as_it_is_and_gets_no_cache(workspace: Workspace) -> None:
    project = load(workspace, "docker_env: {image: python}\n")
    made = request.make(workspace, RunRequest(project, "theirs", DOCKER))
    assert made.image == ExternalImage("python")
    assert (made.inputs.mounts, made.resources.gpus) == ((), "none")
    assert "TRAINER_CACHE_DIR" not in made.environment.variables
    assert "MPLCONFIGDIR" not in made.environment.variables


@pytest.mark.parametrize("name", ["python:3.11", "somebody/small", "localhost:5000/small"])
def test_another_image_may_be_anybodys(workspace: Workspace, name: str) -> None:
    assert make(workspace, image=name).image == ExternalImage(name)


@pytest.mark.parametrize("name", ["small", "trainer/small", "trainer/small:latest", "tiny"])
def test_a_trainer_image_is_one_however_it_is_named(workspace: Workspace, name: str) -> None:
    put(workspace.images / "small" / "image.yaml", "aliases: [tiny]")
    project = load(workspace, f"docker_env: {{image: {name}}}\n")
    asked = RunRequest(project, "theirs", DOCKER)
    assert request.make(workspace, asked).image.tag.startswith("trainer/small:")


def test_a_project_that_says_nothing_of_its_environment(workspace: Workspace) -> None:
    project = load(workspace, "")
    with fails(
        InvalidInput,
        "theirs names no environment, and there is no image sklearn to run it in.",
        "Specify an image: --image NAME",
    ):
        request.make(workspace, RunRequest(project, "theirs", DOCKER))
    put(workspace.images / "sklearn" / "image.yaml")
    put(workspace.images / "sklearn" / "requirements.txt")
    asked = RunRequest(project, "theirs", DOCKER)
    assert request.make(workspace, asked).image.tag.startswith("trainer/sklearn:")
    assert request.make(workspace, RunRequest(project, "theirs", DOCKER, image="small")).image.name == "small"


def test_the_projects_volumes_are_mounted_after_ours(workspace: Workspace) -> None:
    workspace.data.mkdir()
    project = load(workspace, 'docker_env: {image: trainer/small, volumes: ["$(pwd):/work:ro"]}\n')
    cache, data, own = request.make(workspace, RunRequest(project, "theirs", DOCKER)).inputs.mounts
    assert (cache.target, data.target) == ("/cache", "/data")
    assert own == Mount(str(project.folder), "/work")
    with fails(
        InvalidInput,
        "docker_env.volumes need a container: the local backend mounts nothing.",
        "Use the docker backend, or take them out of the MLproject.",
    ):
        request.make(workspace, RunRequest(project, "theirs", LOCAL))


def test_a_volume_of_the_projects_own_goes_before_the_workspaces_data(workspace: Workspace) -> None:
    put(workspace.data / "digits" / "x")
    project = load(workspace, 'docker_env: {image: trainer/small, volumes: ["$(pwd):/data"]}\n')
    made = request.make(workspace, RunRequest(project, "theirs", DOCKER))
    assert [mount.source for mount in made.inputs.mounts][1:] == [str(project.folder)]
    put(
        workspace.root / "theirs" / "MLproject",
        'docker_env: {image: trainer/small, volumes: ["$(pwd):/data/mine"]}\n'
        "entry_points: {main: {parameters: {set: {dataset: true}}, command: a}}\n",
    )
    with fails(
        InvalidInput,
        "The volume at /data/mine hides the dataset of --set.",
        "Mount it elsewhere, or give its place in a parameter of type string.",
    ):
        request.make(
            workspace,
            RunRequest(
                mlproject.load(workspace.root / "theirs"), "theirs", DOCKER, parameters={"set": "digits"}
            ),
        )


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("https://me:pw@example.com/sets/my%20table.csv?v=1", "/inputs/table/my%20table.csv"),
        ("s3://bucket/sets/", "/inputs/table/sets"),
        ("runs:/0123/model", "/inputs/table/model"),
        ("s3://bucket", "/inputs/table/data"),
    ],
)
def test_a_path_elsewhere_is_fetched_later(workspace: Workspace, value: str, seen: str) -> None:
    values = {"name": "n", "source": "s3://b/k", "table": value}
    made = make(workspace, entry_point="strict", parameters=values)
    assert made.inputs.downloads == {"table": value}
    assert made.command[-1] == seen
    assert made.inputs.parameters["table"] == value
    assert [mount.target for mount in made.inputs.mounts] == ["/cache"]


def test_a_file_uri_is_a_path(workspace: Workspace) -> None:
    table = put(workspace.root / "table.csv")
    values = {"name": "n", "source": "s3://b/k", "table": f"file://{table}"}
    made = make(workspace, entry_point="strict", parameters=values)
    assert (made.inputs.downloads, made.inputs.mounts[-1].source) == ({}, str(table))


def on_layers(workspace: Workspace, **parameters: str) -> RunPlan:
    put(workspace.projects / "nets" / "layers" / "mlp.yaml", "layers: []\n")
    put(
        workspace.projects / "nets" / "MLproject",
        "name: nets\ndocker_env: {image: trainer/small}\nentry_points: {main: {parameters: "
        "{layers: {type: path, default: layers}}, command: 'python train.py {layers}'}}\n",
    )
    project = mlproject.load(workspace.projects / "nets")
    return request.make(workspace, RunRequest(project, "train_code/nets", DOCKER, parameters=parameters))


@pytest.mark.parametrize("typed", [{}, {"layers": "layers"}])
def test_a_path_that_is_the_projects_default_is_recorded_as_the_project_has_it(
    workspace: Workspace, typed: dict[str, str]
) -> None:
    made = on_layers(workspace, **typed)
    assert made.inputs.mounts[-1].source == str(workspace.projects / "nets" / "layers")
    assert (made.logged_parameters, made.inputs.origins) == ({"layers": "layers"}, {"layers": "default"})


def test_a_default_that_is_typed_goes_before_that_of_trainer_yaml(workspace: Workspace) -> None:
    put(workspace.root / "other" / "mlp.yaml")
    put(workspace.root / "trainer.yaml", "parameters: {nets: {layers: other}}\n")
    there = find(workspace.root)
    assert on_layers(there).logged_parameters == {"layers": str(workspace.root / "other")}
    assert on_layers(there, layers="layers").logged_parameters == {"layers": "layers"}


def test_a_path_that_is_there_is_meant_though_a_default_is_called_the_same(workspace: Workspace) -> None:
    here = put(Path.cwd() / "layers" / "cnn.yaml").parent
    assert on_layers(workspace, layers="layers").logged_parameters == {"layers": str(here)}
    refused = f"--layers names {Path.cwd() / 'nets'}, which is not there."
    with fails(InvalidInput, refused, "Specify a file or folder."):
        on_layers(workspace, layers="nets")

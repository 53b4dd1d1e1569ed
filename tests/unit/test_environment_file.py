"""python_env.yaml and conda.yaml: what an image is built from, and what cannot be had."""

from pathlib import Path

import pytest
from trainer.environment_file import Environment, read
from trainer.errors import BadInput

from unit.helpers import fails, put


def test_a_python_env_with_the_files_that_it_names(tmp_path: Path) -> None:
    path = put(
        tmp_path / "envs" / "python_env.yaml",
        'python: "3.10"\nbuild_dependencies: [pip==23.1, wheel]\n'
        "dependencies: [-r requirements/base.txt, --constraint=limits.txt, scipy]\n",
    )
    put(tmp_path / "requirements" / "base.txt", "numpy\n# -r not/this.txt\n-r more.txt\n")
    put(tmp_path / "requirements" / "more.txt", "pandas\n--index-url https://example.com/simple\n")
    put(tmp_path / "limits.txt", "numpy<3\n")
    said = read(path, tmp_path, is_conda=False)
    assert said == Environment(
        "3.10",
        ("pip==23.1", "wheel"),
        ("-r requirements/base.txt", "--constraint=limits.txt", "scipy"),
        {
            "requirements/base.txt": b"numpy\n# -r not/this.txt\n-r more.txt\n",
            "requirements/more.txt": b"pandas\n--index-url https://example.com/simple\n",
            "limits.txt": b"numpy<3\n",
        },
    )


def test_what_a_python_env_leaves_out_is_left_open(tmp_path: Path) -> None:
    path = put(tmp_path / "python_env.yaml", "dependencies:\n  - numpy\n")
    assert read(path, tmp_path, is_conda=False) == Environment(dependencies=("numpy",))


@pytest.mark.parametrize(
    ("package", "python"),
    [
        ("python=3.8.13", "3.8.13"),
        ("python==3.8", "3.8"),
        ("python 3.8", "3.8"),
        ("python = 3.8", "3.8"),
        ("python=3.8.*", "3.8"),
        ("python=3.8.13=h12debd9_0", "3.8.13"),
        ("conda-forge::python=3.8", "3.8"),
        ("python>=3.8,<3.11", ">=3.8,<3.11"),
        ("python >=3.8, <3.11", ">=3.8,<3.11"),
        ("python", ""),
        ("pip", ""),
    ],
)
def test_the_python_of_a_conda_env(tmp_path: Path, package: str, python: str) -> None:
    path = put(tmp_path / "conda.yaml", f"dependencies: ['{package}']\n")
    assert read(path, tmp_path, is_conda=True).python == python


def test_a_conda_env_as_mlflow_writes_it(tmp_path: Path) -> None:
    path = put(
        tmp_path / "conda.yaml",
        "name: tutorial\nchannels: [conda-forge]\ndependencies:\n- python=3.11.2\n- pip<=23.0.1\n"
        "- setuptools=66\n- pip:\n  - mlflow==3.17.2\n  - scikit-learn\n",
    )
    assert read(path, tmp_path, is_conda=True) == Environment(
        "3.11.2", ("pip<=23.0.1", "setuptools==66"), ("mlflow==3.17.2", "scikit-learn")
    )


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "dependencies: [python=3.8, numpy=1.14.3, conda-forge::gcc, {pip: [mlflow]}]",
            "has packages that only conda installs: numpy=1.14.3, conda-forge::gcc.",
            "Have them from pip (below `pip:`), or run in an image that has them: --image IMAGE",
        ),
        ("dependencies: [{npm: [left-pad]}]", None, "Write name=version, or pip: [...]."),
        ("dependencies: [{pip: numpy}]", None, None),
        ("dependencies: numpy", None, None),
        ("- numpy", "describes no environment.", "It needs `dependencies`."),
        ("a: b: c", None, "Correct the line."),
    ],
)
def test_a_conda_env_that_cannot_be_had(
    tmp_path: Path, text: str, problem: str | None, hint: str | None
) -> None:
    path = put(tmp_path / "conda.yaml", text)
    with pytest.raises(BadInput) as caught:
        read(path, tmp_path, is_conda=True)
    assert str(path) in caught.value.message
    if problem:
        assert caught.value.message == f"{path} {problem}"
    assert hint in (None, caught.value.hint)


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("python: 3.10\n", ": python is 3.1, a number.", 'Write it as a text: python: "3.11"'),
        ("pythn: '3.10'\n", " has the unknown key pythn.", "Did you mean python?"),
        ("dependencies: numpy\n", ": dependencies is no list of requirements.", None),
        ("dependencies: [-r gone.txt]\n", " names gone.txt, which the project has not.", None),
        ("dependencies: [-r ../outside.txt]\n", " names ../outside.txt, which the project has not.", None),
    ],
)
def test_a_python_env_that_cannot_be_had(tmp_path: Path, text: str, problem: str, hint: str | None) -> None:
    put(tmp_path / "outside.txt", "numpy\n")
    path = put(tmp_path / "project" / "python_env.yaml", text)
    with fails(BadInput, f"{path}{problem}", hint):
        read(path, tmp_path / "project", is_conda=False)


@pytest.mark.parametrize("line", ["-e .", "--editable ./lib", ".", "./lib", "../lib", "lib @ ./lib",
                                  "lib @ file:///lib", "/wheels/lib.whl"])  # fmt: skip
def test_a_package_of_the_projects_own_folder_is_named(tmp_path: Path, line: str) -> None:
    path = put(tmp_path / "python_env.yaml", f"dependencies: ['{line}']\n")
    message = f"{path}: {line} is of the project, which is not there when its image is built."
    hint = "Leave it out, and import it from the folder: a run's working folder is the project."
    with fails(BadInput, message, hint):
        read(path, tmp_path, is_conda=False)

"""python_env.yaml and conda.yaml: what an image is built from, and what cannot be had."""

import codecs
import re
from pathlib import Path

import pytest
import yaml
from trainer.errors import InvalidInput
from trainer.projects import python_env
from trainer.projects.python_env import Environment, read

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
        ("conda-forge/linux-64::python[version=3.8.*]", "3.8"),
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
    said = read(path, tmp_path, is_conda=True)
    assert (said.python, said.build_dependencies) == ("3.11.2", ("pip<=23.0.1", "setuptools==66.*"))
    assert said.dependencies == ("mlflow==3.17.2", "scikit-learn")
    assert (said.from_conda, said.left_out, said.unpinned) == ((), (), ())
    assert yaml.safe_load(said.conda) == {
        "channels": ["conda-forge"],
        "dependencies": [
            "python=3.11.2",
            "pip<=23.0.1",
            "setuptools=66",
            {"pip": ["mlflow==3.17.2", "scikit-learn"]},
        ],
    }


@pytest.mark.parametrize(
    ("package", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.21", "numpy==1.21.*"),
        ("numpy==1.21", "numpy==1.21"),
        ("numpy 1.21", "numpy==1.21"),
        ("numpy=1.21.2=py38h20f2e39_0", "numpy==1.21.2"),
        ("numpy 1.21.2 py38_0", "numpy==1.21.2"),
        ("numpy 1.21.*", "numpy==1.21.*"),
        ("numpy=1.8*", "numpy==1.8.*"),
        ("numpy >= 1.20 , < 2", "numpy>=1.20,<2"),
        ("numpy!=1.20", "numpy!=1.20"),
        ("numpy=1.20|1.21", "numpy==1.20.*"),
        ("numpy=*", "numpy"),
        ("NumPy", "numpy"),
        ("conda-forge::pytorch=1.13.1=py3.8_cuda11.7_0", "torch==1.13.1"),
        ("pytorch::torchvision[version='>=0.14', build=cu*]", "torchvision>=0.14"),
        ("opencv", "opencv-python-headless"),
        ("matplotlib-base=3.7", "matplotlib==3.7.*"),
        ("py-xgboost", "xgboost"),
        ("ray-tune", "ray[tune]"),
    ],
)
def test_a_package_of_condas_is_one_of_pypis(tmp_path: Path, package: str, requirement: str) -> None:
    path = put(tmp_path / "conda.yaml", yaml.safe_dump({"dependencies": [package, {"pip": ["mlflow"]}]}))
    said = read(path, tmp_path, is_conda=True)
    assert said.dependencies == (requirement, "mlflow")
    assert said.left_out == ()


def test_what_only_conda_has_is_left_out_and_named(tmp_path: Path) -> None:
    path = put(
        tmp_path / "conda.yaml",
        "dependencies: [_libgcc_mutex=0.1=main, python=3.8, cudatoolkit=11.3, ffmpeg, pandas, r-base, "
        "ld_impl_linux-64=2.38=h1181459_1, libgcc-ng=11.2.0, librosa]\n",
    )
    said = read(path, tmp_path, is_conda=True)
    assert said.from_conda == ("pandas", "librosa")
    assert said.left_out == (
        "_libgcc_mutex", "cudatoolkit", "ffmpeg", "r-base", "ld_impl_linux-64", "libgcc-ng",
    )  # fmt: skip


def test_pip_replaces_what_conda_installed_before(tmp_path: Path) -> None:
    text = "dependencies: [pandas=1.4, scikit-learn=1.0, {pip: [pandas==1.3.5, scikit_learn>=1.1]}]\n"
    said = read(put(tmp_path / "conda.yaml", text), tmp_path, is_conda=True)
    assert said.dependencies == ("pandas==1.3.5", "scikit_learn>=1.1")


def test_the_table_of_names_has_no_name_twice() -> None:
    text = (Path(python_env.__file__).with_name("conda_names.yaml")).read_text()
    names = yaml.safe_load(text)
    assert len(names["left_out"]) == len(set(names["left_out"]))
    assert not set(names["left_out"]) & set(names["renamed"])
    assert len(re.findall(r"^  [\w.-]+: ", text, re.MULTILINE)) == len(names["renamed"])


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("dependencies: [a b c d]", None, "Write name=version, or pip: [...]."),
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
    with pytest.raises(InvalidInput) as caught:
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
        ("dependencies: numpy\n", ": dependencies is not a list of requirements.", None),
        ("dependencies: [-r gone.txt]\n", " names gone.txt, which is not in the project.", None),
        ("dependencies: [-r ../outside.txt]\n", " names ../outside.txt, which is not in the project.", None),
    ],
)
def test_a_python_env_that_cannot_be_had(tmp_path: Path, text: str, problem: str, hint: str | None) -> None:
    put(tmp_path / "outside.txt", "numpy\n")
    path = put(tmp_path / "project" / "python_env.yaml", text)
    with fails(InvalidInput, f"{path}{problem}", hint):
        read(path, tmp_path / "project", is_conda=False)


@pytest.mark.parametrize("line", ["-e .", "--editable ./lib", ".", "./lib", "../lib", "lib @ ./lib",
                                  "lib @ file:lib", "/wheels/lib.whl"])  # fmt: skip
def test_a_package_of_the_projects_own_folder_is_named(tmp_path: Path, line: str) -> None:
    path = put(tmp_path / "python_env.yaml", f"dependencies: ['{line}']\n")
    message = f"{path}: {line} is of the project, which is not there when its image is built."
    hint = "Leave it out, and import it from the folder: a run's working folder is the project."
    with fails(InvalidInput, message, hint):
        read(path, tmp_path, is_conda=False)


FROZEN = """\
# pip freeze of a conda environment
attrs @ file:///croot/attrs_1668696182826/source
certifi @ file:///croot/certifi/source/certifi-2021.5.30-py3-none-any.whl#sha256=12
six @ file:///tmp/build/80754af9/six_1644875935023/work ; python_version < "4"
-e git+https://git.example.org/team/winelib.git@0123abc#egg=winelib
--editable=git+ssh://git@git.example.org/team/lib.git@v1#egg=lib&subdirectory=python
tabulate==0.9.0
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_what_was_frozen_elsewhere_can_be_installed_here(tmp_path: Path, encoding: str) -> None:
    bom = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else b""
    put(tmp_path / "requirements.txt", bom + FROZEN.encode(encoding))
    environment = "python: '3.11'\ndependencies:\n- -r requirements.txt\n"
    path = put(tmp_path / "python_env.yaml", bom + environment.encode(encoding))
    said = read(path, tmp_path, is_conda=False)
    assert said.files["requirements.txt"].decode().splitlines() == [
        "# pip freeze of a conda environment",
        "attrs",
        "certifi==2021.5.30",
        'six ; python_version < "4"',
        "winelib @ git+https://git.example.org/team/winelib.git@0123abc",
        "lib @ git+ssh://git@git.example.org/team/lib.git@v1#subdirectory=python",
        "tabulate==0.9.0",
    ]
    assert said.unpinned == ("attrs", "six")
    assert said.needs_git


def test_a_package_that_is_a_file_of_this_machine_is_named(tmp_path: Path) -> None:
    wheel = put(tmp_path / "wheels" / "lib-1.0-py3-none-any.whl")
    path = put(tmp_path / "project" / "python_env.yaml", f"dependencies: ['lib @ file://{wheel}']\n")
    message = (
        f"{path}: lib @ file://{wheel} is a file of this machine, which is not there when the image is built."
    )
    hint = "Specify a version of a package registry instead, or run in an image that has it: --image IMAGE"
    with fails(InvalidInput, message, hint):
        read(path, tmp_path / "project", is_conda=False)

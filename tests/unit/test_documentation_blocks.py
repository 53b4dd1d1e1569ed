"""How the tests read the documentation: what counts as a command, and what as the output shown."""

from pathlib import Path

import pytest
from documentation import LEARNED, blocks, matches, others

from unit.helpers import put

PAGE = """\
Text with `code`.

```sh
first --option \\
  more
second
```

<!-- not run: it takes a GPU -->
```sh
third
```

```console
$ fourth
$ fifth
one
two
```

```python
print(6)
```

```yaml
a: b
```

```dockerfile title="old/Dockerfile"
FROM x
```

    $ seventh
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return put(tmp_path / "page.md", PAGE)


def test_commands_are_taken_with_what_they_print(page: Path) -> None:
    assert [block.commands for block in blocks(page)] == [
        (("first --option \\\n  more", None), ("second", None)),
        (("third", None),),
        (("fourth", None), ("fifth", "one\ntwo\n")),
        (("python - <<'END'\nprint(6)\nEND", None),),
        (("mkdir -p $(dirname 'old/Dockerfile') && cat > 'old/Dockerfile' <<'END'\nFROM x\nEND", None),),
    ]


def test_a_block_says_where_it_is_and_why_it_is_not_run(page: Path) -> None:
    said = [(block.page, block.line, block.not_run) for block in blocks(page)]
    assert said == [
        ("page.md", 4, None), ("page.md", 11, "it takes a GPU"), ("page.md", 15, None), ("page.md", 22, None),
        ("page.md", 30, None),
    ]  # fmt: skip


def test_what_is_not_read_as_commands_is_reported(page: Path) -> None:
    assert others(page) == ["yaml", "indented"]


def test_what_is_to_be_looked_up_is_not_typed(page: Path) -> None:
    typed, whole = blocks(page), PAGE
    put(page, f"{whole}{LEARNED}\n\n```sh\neighth\n```\n\n    $ ninth\n")
    assert (blocks(page), others(page)) == (typed, ["yaml", "indented"])


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one\ntwo", "one\n\n two  \n"),
        ("…", ""),
        ("one\n…", "one\n"),
        ("one\n…\nlast", "one\nlast\n3\nlast\n"),
        ("…\ntwo\n…\nfour\n…", "1\ntwo\n3\nfour\n5\n6"),
        ("made …/data", "made /tmp/lab/data"),
        ("NAME  SIZE", "NAME       SIZE   "),
        ("accuracy 0.98 (-0.002)", "accuracy 0.975 (+1.5e-05)"),
        ("load  0.04 s, 130.0 kB", "load  12 s, 1 kB"),
        (
            "Run brave-hen-7 (fd39e4db1cee4cc9abfc011c96b916c1)",
            "Run sad-fox-12 (00000000000000000000000000000000)",
        ),
        ("http://127.0.0.1:5000/x", "http://127.0.0.1:25000/x"),
    ],
)
def test_an_output_is_what_the_page_shows(shown: str, printed: str) -> None:
    assert matches(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one\ntwo", "one"),
        ("one", "one\ntwo"),
        ("one\ntwo", "one\nother\ntwo"),
        ("one\n…\ntwo", "one\ntwo\nthree"),
        ("…\ntwo\n…\nfour\n…", "four\ntwo"),
        ("wo", "two"),
        ("5 classes", "4 classes"),
        ("FINISHED  few-trees", "FINISHED  many-trees"),
        ("accuracy 0.98", "accuracy nan"),
        ("accuracy *", "accuracy"),
    ],
)
def test_another_output_is_not(shown: str, printed: str) -> None:
    assert not matches(shown, printed)

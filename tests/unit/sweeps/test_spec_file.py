"""The file of a sweep."""

from __future__ import annotations

from pathlib import Path

from trainer.sweeps.search import spec_file
from trainer.sweeps.search.domains import Choices

CONTENT = """
project: demo
search:
  augment: [yes, no]
  flip: on, off
  bias: [true, false]
parameters: {since: 2026-01-01}
metrics: {loss: minimize}
try: [{augment: no}]
warm: no
"""


def test_words_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text(CONTENT)
    found = spec_file.read(file)
    assert {dimension.name: dimension.domain for dimension in found.dimensions} == {
        "augment": Choices(("yes", "no")),
        "flip": Choices(("on", "off")),
        "bias": Choices(("true", "false")),
    }
    assert found.parameters == {"since": "2026-01-01"}
    assert found.tries == ({"augment": "no"},)
    assert found.options.warm is False
    spec_file.write(file, found)
    assert spec_file.read(file) == found

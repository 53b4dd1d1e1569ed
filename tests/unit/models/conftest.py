"""An image in the workspace, and a model for it."""

import numpy as np
import pytest
from PIL import Image
from trainer.workspace.settings import Workspace

from unit.trainkit.inference.models import write_colours


@pytest.fixture
def content(workspace: Workspace) -> bytes:
    """The ONNX file of a model that calls `red.png` red."""
    Image.fromarray(np.full((9, 9, 3), (255, 0, 0), np.uint8)).save(workspace.root / "red.png")
    path = write_colours(workspace.root / "m.onnx")
    onnx = path.read_bytes()
    path.unlink()
    return onnx

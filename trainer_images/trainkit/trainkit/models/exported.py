"""What an exporter makes of a model: an ONNX graph, what it says of itself, and what it is compared with."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

from trainkit.inference.description import KEY, Description
from trainkit.models.samples import Samples


@dataclass(frozen=True)
class Exported:
    """An ONNX graph. `samples` are None where the run has logged none and its framework knows none."""

    graph: onnx.ModelProto
    description: Description
    samples: Samples | None

    def write(self, path: Path, run_id: str) -> None:
        """Write the ONNX file of a run's model, with the description in its metadata."""
        described = self.description.model_copy(update={"run_id": run_id})
        helper.set_model_props(self.graph, {KEY: described.text()})
        self.graph.graph.name, self.graph.graph.doc_string = "model", ""  # skl2onnx draws names at random
        onnx.save_model(self.graph, str(path))

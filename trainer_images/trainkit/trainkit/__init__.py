"""What training scripts share. Import the modules; `keras` and `torch` alone bring their frameworks."""

import os
import sys

TYPE_CHECKING = False  # `typing` is slow to import, and every Python of an image starts with this
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

# Else ONNX Runtime sends Microsoft what it runs, as soon as it is imported. Who wants that says so before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


class _FormerNames:
    """Finds modules by the names that they had before: the last that Python asks, so it delays no import."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> "ModuleSpec | None":  # noqa: ARG004
        if not name.startswith("trainkit."):
            return None
        from trainkit import former_names

        return former_names.find(name)


sys.meta_path.append(_FormerNames)

"""The names that modules had before trainkit had packages: scripts that import them go on working.

`from trainkit.keras_training import train` imports `trainkit.keras.training`, with a `DeprecationWarning`
that names it. No module is imported before a script asks for it by its former name.
"""

import sys
import warnings
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {
    "architectures": "keras.architectures",
    "backbones": "keras.backbones",
    "brightness": "data.brightness",
    "datasets": "data.datasets",
    "downloads": "data.downloads",
    "feature_cache": "keras.feature_cache",
    "folder_listing": "data.folder_listing",
    "image_data": "data.image_data",
    "image_folder": "data.image_folder",
    "keras_backend": "keras.backend",
    "keras_checkpoints": "keras.checkpoints",
    "keras_models": "keras.models",
    "keras_settings": "keras.settings",
    "keras_training": "keras.training",
    "layer_drawing": "keras.layer_drawing",
    "layer_report": "keras.layer_report",
    "pixels": "data.pixels",
    "tables": "data.tables",
    "torch_data": "torch.data",
    "torch_export": "torch.export",
    "torch_layers": "torch.layers",
    "torch_model": "torch.model",
    "torch_network": "torch.network",
    "torch_training": "torch.training",
}


def find(name: str) -> ModuleSpec | None:
    """How to import the module that had this name; None if none had."""
    package, _, former = name.partition(".")
    return ModuleSpec(name, _Present(f"{package}.{FORMER[former]}")) if former in FORMER else None


class _Present(Loader):
    def __init__(self, name: str) -> None:
        self._name = name

    def exec_module(self, module: ModuleType) -> None:
        # Python takes what is in `sys.modules` afterwards: one module by two names, and no copy of it.
        sys.modules[module.__name__] = import_module(self._name)
        warnings.warn(f"{module.__name__} is {self._name} now", DeprecationWarning, stacklevel=2)

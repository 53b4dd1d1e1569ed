"""Names that modules, and what is in them, had before: scripts that import them go on working.

`from trainkit.keras_models import pretrained` imports `trainkit.keras.models`, and `models.weights_place` is
`models.weights_path`, with a `DeprecationWarning` that names what it is now. No module is imported before a
script asks for it by its former name.
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
    "places": "paths",
    "tables": "data.tables",
    "torch_data": "torch.data",
    "torch_export": "torch.export",
    "torch_layers": "torch.layers",
    "torch_model": "torch.model",
    "torch_network": "torch.network",
    "torch_training": "torch.training",
}

_IN_TRAIN_PY = "a project's train.py has it now, as in `trainer new --template tensorflow`"
ATTRIBUTES: dict[str, dict[str, tuple[str, str]]] = {
    "figures": {"roc_curves": ("class_curves.roc_curves", "")},
    "keras.models": {
        "augmentation": ("keras.former.augmentation", _IN_TRAIN_PY),
        "head": ("keras.former.head", _IN_TRAIN_PY),
        "small_cnn": ("keras.former.small_cnn", _IN_TRAIN_PY),
        "transfer": ("keras.former.transfer", _IN_TRAIN_PY),
        "weights_place": ("keras.models.weights_path", ""),
    },
    "keras.training": {
        "compile_model": ("keras.former.compile_model", _IN_TRAIN_PY),
        "train": ("keras.former.train", _IN_TRAIN_PY),
    },
}
"""By module, its former attributes: where each is now, and what is said instead of that."""


def attribute(module: str, name: str) -> object:
    """What the module had by this name, for its `__getattr__`; raises `AttributeError` for any other name."""
    package, _, rest = module.partition(".")
    if name not in ATTRIBUTES.get(rest, {}):
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    present, advice = ATTRIBUTES[rest][name]
    owner, _, current = f"{package}.{present}".rpartition(".")
    warnings.warn(
        f"{module}.{name}: {advice or f'it is {owner}.{current} now'}", DeprecationWarning, stacklevel=3
    )
    return getattr(import_module(owner), current)


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

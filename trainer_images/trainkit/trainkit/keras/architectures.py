"""What is known of each backbone without building it. No framework is imported here."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Protocol

from trainkit.errors import InputError, did_you_mean


class Tensor(Protocol):
    """What `preprocess` takes: a symbolic tensor of Keras, a tensor of TensorFlow, or an array."""

    def __truediv__(self, other: float, /) -> "Tensor":
        """Quotient."""

    def __sub__(self, other: float, /) -> "Tensor":
        """Difference."""


@dataclass(frozen=True)
class Backbone:
    """A convolutional network without its classifier; the pooling to features is its last layer.

    `ends` has the name of each block, in order, and the index of its last layer. `last_weights` is the index
    of the last layer with weights to train, which batch normalisations have not (they stay as they are).
    """

    name: str
    title: str
    image_size: int
    minimum_size: int
    preprocess: Callable[[Tensor], Tensor]
    """Pixels of 0 … 255 → the network's input. Plain arithmetic, so that a Keras model is saved with it."""
    ends: Mapping[str, int]
    last_weights: int
    weights_url: str
    weights_md5: str

    @property
    def layers(self) -> int:
        """How many layers it has, with the input and the pooling."""
        return max(self.ends.values()) + 1

    @property
    def unfreezable(self) -> list[str]:
        """The blocks that something trains from, in order."""
        starts = [0, *(last + 1 for last in self.ends.values())]
        return [name for name, start in zip(self.ends, starts, strict=False) if start <= self.last_weights]

    @property
    def weights_file(self) -> str:
        """The name of the file of ImageNet weights, as it lies in the folder models/ of Keras's cache."""
        return PurePosixPath(self.weights_url).name


def _centred(pixels: Tensor) -> Tensor:
    return pixels / 127.5 - 1.0


def _unchanged(pixels: Tensor) -> Tensor:
    return pixels


_KERAS = "https://storage.googleapis.com"
_INCEPTION_V3 = Backbone(
    name="inceptionv3",
    title="InceptionV3",
    image_size=299,
    minimum_size=75,
    preprocess=_centred,
    ends=MappingProxyType(
        {"stem": 17, "mixed0": 40, "mixed1": 63, "mixed2": 86, "mixed3": 100, "mixed4": 132, "mixed5": 164,
         "mixed6": 196, "mixed7": 228, "mixed8": 248, "mixed9": 279, "mixed10": 310, "pool": 311}
    ),
    last_weights=299,
    weights_url=f"{_KERAS}/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    weights_md5="bcbd6486424b2319ff4ef7d526e38f63",
)  # fmt: skip
_EFFICIENTNET_B0 = Backbone(
    name="efficientnetb0",
    title="EfficientNetB0",
    image_size=224,
    minimum_size=32,
    preprocess=_unchanged,  # its first layers do it
    ends=MappingProxyType(
        {"stem": 7, "block1a": 17, "block2a": 31, "block2b": 46, "block3a": 60, "block3b": 75, "block4a": 89,
         "block4b": 104, "block4c": 119, "block5a": 132, "block5b": 147, "block5c": 162, "block6a": 176,
         "block6b": 191, "block6c": 206, "block6d": 221, "block7a": 234, "top": 237, "pool": 238}
    ),
    last_weights=235,
    weights_url=f"{_KERAS}/keras-applications/efficientnetb0_notop.h5",
    weights_md5="50bc09e76180e00e4465e1a485ddc09d",
)  # fmt: skip

BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {backbone.name: backbone for backbone in (_INCEPTION_V3, _EFFICIENTNET_B0)}
)


def backbone(name: str) -> Backbone:
    """The backbone of that name; raises `InputError` with the nearest one."""
    if name not in BACKBONES:
        raise InputError(
            f"There is no backbone {name}.", _nearest(name.lower(), BACKBONES, "The backbones are")
        )
    return BACKBONES[name]


def check(name: str, image_size: int, where: str) -> None:
    """Raise `InputError` for what `backbones.build` and `backbones.unfreeze` would refuse; build nothing."""
    architecture = backbone(name)
    if image_size < architecture.minimum_size:
        raise InputError(
            f"{architecture.title} cannot work on images of {image_size} by {image_size} pixels.",
            f"Take {architecture.minimum_size} at least; it was made for {architecture.image_size}.",
        )
    first_trained(architecture, where)


def first_trained(backbone: Backbone, where: str) -> int:
    """The index of the first layer that trains, or the number of layers for `none`.

    `where` is a block's name (that block and all after it train), a number N (the last N layers, of which the
    pooling is one), `all` or `none`. Raises `InputError` for anything else, and for layers without weights.
    """
    if where in ("all", "none"):
        return 0 if where == "all" else backbone.layers
    if where.isdecimal():
        if int(where) > backbone.layers:
            raise InputError(
                f"{backbone.title} has no {where} layers to train.", f"It has {backbone.layers}; or use all."
            )
        first = backbone.layers - int(where)
    else:
        names = list(backbone.ends)
        if where not in backbone.ends:
            near = _nearest(where, backbone.unfreezable, "The blocks are")
            raise InputError(
                f"{backbone.title} has no block {where} to train from.",
                f"{near} Or use all, none, or a number of last layers.",
            )
        position = names.index(where)
        first = backbone.ends[names[position - 1]] + 1 if position else 0
    if backbone.last_weights < first < backbone.layers:
        raise InputError(
            f"From {where} on, {backbone.title} has no weights that could train.",
            f"Go back further: its last {backbone.layers - backbone.last_weights} layers have some. "
            "Or use none.",
        )
    return first


def unfrozen(where: str) -> str:
    """What `first_trained` makes of `where`, in words."""
    if where in ("all", "none"):
        return "all unfrozen" if where == "all" else "all frozen"
    return f"the last {where} layers unfrozen" if where.isdecimal() else f"unfrozen from {where}"


def _nearest(name: str, names: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return did_you_mean(near[0]) if near else f"{otherwise} {', '.join(names)}."

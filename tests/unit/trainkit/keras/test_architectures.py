from collections.abc import Callable

import numpy as np
import pytest
from trainkit.errors import InputError
from trainkit.keras import architectures
from trainkit.keras.architectures import BACKBONES

INCEPTION, EFFICIENTNET = BACKBONES["inceptionv3"], BACKBONES["efficientnetb0"]


def refusal(do: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(InputError) as caught:
        do()
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("where", "first"),
    [("stem", 0), ("mixed0", 18), ("mixed7", 197), ("mixed10", 280), ("all", 0), ("none", 312), ("0", 312),
     ("13", 299), ("100", 212), ("312", 0)],
)  # fmt: skip
def test_where_inception_trains_from(where: str, first: int) -> None:
    architectures.check("inceptionv3", 75, where)
    assert architectures.first_trained(INCEPTION, where) == first


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_block_that_is_offered_can_be_trained_from(name: str) -> None:
    known = BACKBONES[name]
    starts = [architectures.first_trained(known, block) for block in known.unfreezable]
    assert starts == sorted(set(starts))
    assert list(known.ends) == [*known.unfreezable, "pool"]


@pytest.mark.parametrize(
    ("where", "message", "hint"),
    [
        ("mixd7", "InceptionV3 has no block mixd7 to train from.",
         "Did you mean mixed7? Or use all, none, or a number of last layers."),
        ("7", "From 7 on, InceptionV3 has no weights that could train.",
         "Go back further: its last 13 layers have some. Or use none."),
        ("pool", "From pool on, InceptionV3 has no weights that could train.",
         "Go back further: its last 13 layers have some. Or use none."),
        ("313", "InceptionV3 has no 313 layers to train.", "It has 312; or use all."),
        ("-1", "InceptionV3 has no block -1 to train from.", None),
        ("1.5", "InceptionV3 has no block 1.5 to train from.", None),
        ("", "InceptionV3 has no block  to train from.", None),
        ("block6a", "InceptionV3 has no block block6a to train from.",
         "The blocks are stem, mixed0, mixed1, mixed2, mixed3, mixed4, mixed5, mixed6, mixed7, mixed8, "
         "mixed9, mixed10. Or use all, none, or a number of last layers."),
    ],
)  # fmt: skip
def test_where_nothing_could_train_is_refused(where: str, message: str, hint: str | None) -> None:
    said = refusal(lambda: architectures.check("inceptionv3", 299, where))
    assert said[0] == message
    assert hint in (None, said[1])


@pytest.mark.parametrize(
    ("name", "size", "least"), [("inceptionv3", 74, 75), ("efficientnetb0", 31, 32), ("inceptionv3", -1, 75)]
)
def test_images_that_are_too_small_are_refused(name: str, size: int, least: int) -> None:
    message, hint = refusal(lambda: architectures.check(name, size, "none"))
    known = BACKBONES[name]
    assert message == f"{known.title} cannot work on images of {size} by {size} pixels."
    assert hint == f"Take {least} at least; it was made for {known.image_size}."
    architectures.check(name, least, "none")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("inceptionv4", "Did you mean inceptionv3?"),
        ("InceptionV3", "Did you mean inceptionv3?"),
        ("resnet", "The backbones are inceptionv3, efficientnetb0."),
    ],
)
def test_an_unknown_backbone_is_refused(name: str, hint: str) -> None:
    assert refusal(lambda: architectures.check(name, 299, "all")) == (f"There is no backbone {name}.", hint)


def test_what_the_networks_get_of_black_grey_and_white() -> None:
    pixels = np.array([0, 127.5, 255], dtype=np.float32)
    np.testing.assert_allclose(np.asarray(INCEPTION.preprocess(pixels)), [-1, 0, 1], atol=1e-7)
    np.testing.assert_array_equal(np.asarray(EFFICIENTNET.preprocess(pixels)), pixels)


@pytest.mark.parametrize(
    ("where", "words"),
    [("mixed7", "unfrozen from mixed7"), ("100", "the last 100 layers unfrozen"), ("all", "all unfrozen"),
     ("none", "all frozen")],
)  # fmt: skip
def test_where_in_words(where: str, words: str) -> None:
    assert architectures.unfrozen(where) == words

import io
import random
import time

import numpy as np
from PIL import Image, ImageEnhance
from trainer.datasets import near_duplicates
from trainer.datasets.names import DERMNET
from trainer.datasets.synthetic.drawing import draw
from trainer.datasets.synthetic.looks import LOOKS


def drawn(seed: int) -> Image.Image:
    return draw(LOOKS[DERMNET[seed % 23]], np.random.default_rng(seed), 96)


def distance(one: Image.Image, other: Image.Image) -> int:
    hashes = near_duplicates.difference_hash(one), near_duplicates.difference_hash(other)
    assert hashes[0] is not None
    assert hashes[1] is not None
    return (hashes[0] ^ hashes[1]).bit_count()


def test_a_resized_a_darkened_and_a_recompressed_picture_are_near() -> None:
    for seed in range(20):
        picture = drawn(seed)
        assert distance(picture, picture.resize((300, 280), Image.Resampling.BICUBIC)) <= 4
        assert distance(picture, ImageEnhance.Brightness(picture).enhance(0.85)) <= 4
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=60)
        assert distance(picture, Image.open(file)) <= 4


def test_different_pictures_are_far() -> None:
    pictures = [drawn(seed) for seed in range(46)]
    far = [distance(a, b) > 4 for i, a in enumerate(pictures) for b in pictures[:i]]
    assert all(far)


def test_a_plain_picture_has_nothing_to_compare() -> None:
    assert near_duplicates.difference_hash(Image.new("RGB", (50, 50), (200, 160, 140))) is None


def test_groups_are_within_the_distance_and_alone_is_no_group() -> None:
    hashes = [0, 0b111, 2**63, 0, 2**62 + 2**40 + 2**20 + 1, 0b11111]
    assert near_duplicates.groups(hashes, 0) == [[0, 3]]
    assert near_duplicates.groups(hashes, 2) == [[0, 2, 3], [1, 5]]
    assert near_duplicates.groups(hashes, 3) == [[0, 1, 2, 3, 5]]
    assert near_duplicates.groups([], 4) == []


def test_the_groups_are_those_of_a_comparison_of_all_with_all() -> None:
    chance = random.Random(0)
    hashes = [chance.getrandbits(64) for _ in range(300)]
    hashes += [h ^ (1 << chance.randrange(64)) ^ (1 << chance.randrange(64)) for h in hashes[::8]]
    results = {frozenset(group) for group in near_duplicates.groups(hashes, 3)}
    pairs = {(a, b) for b in range(len(hashes)) for a in range(b) if (hashes[a] ^ hashes[b]).bit_count() <= 3}
    assert results == {frozenset(pair) for pair in pairs}
    assert len(results) == 38


def test_25_000_images_take_seconds() -> None:
    chance = random.Random(0)
    hashes = [chance.getrandbits(64) for _ in range(24_990)] + [7] * 10
    start = time.monotonic()
    assert near_duplicates.groups(hashes, 4) == [list(range(24_990, 25_000))]
    assert time.monotonic() - start < 20

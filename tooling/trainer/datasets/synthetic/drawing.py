"""Drawing made-up pictures of skin: a tone, its unevenness, lesions, hairs, light, noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trainer.datasets.synthetic.looks import Appearance

Field = NDArray[np.float32]

_LIGHT_SKIN, _DARK_SKIN = np.array([238, 204, 182]), np.array([146, 102, 80])


def draw(appearance: Appearance, rng: np.random.Generator, size: int) -> Image.Image:
    """A square picture, `size` pixels wide, RGB; the same for the same state of `rng`."""
    tone = _LIGHT_SKIN + rng.uniform(0, 1) * (_DARK_SKIN - _LIGHT_SKIN) + rng.normal(0, 5, 3)
    picture = np.broadcast_to(tone, (size, size, 3)).astype(np.float32)
    picture *= 1 + 0.05 * _field(rng, size, 5)[..., None] + 0.025 * _field(rng, size, size // 3)[..., None]
    _draw_hairs(picture, rng, int(rng.integers(appearance.hairs[0], appearance.hairs[1] + 1)))
    middle = rng.uniform(0.35, 0.65, 2)
    spread, zoom, tint = rng.uniform(*appearance.spread), rng.uniform(0.8, 1.25), rng.normal(0, 0.04, 3)
    sun = rng.uniform(0, 2 * math.pi)
    for _ in range(rng.integers(appearance.count[0], appearance.count[1] + 1)):
        centre = (middle + spread * rng.uniform(-1, 1, 2)).clip(0.1, 0.9) * size
        _draw_lesion(
            picture, appearance, rng, centre, zoom * rng.uniform(*appearance.radius) * size, tint, sun
        )
    picture *= _light(rng, size)[..., None]
    picture += rng.normal(0, rng.uniform(2, 6), picture.shape)
    return Image.fromarray(picture.clip(0, 255).astype(np.uint8))


def _draw_lesion(
    picture: Field, appearance: Appearance, rng: np.random.Generator, centre: NDArray[np.float64],
    radius: float, tint: NDArray[np.float64], sun: float,
) -> None:  # fmt: skip
    size = len(picture)
    stretch = math.sqrt(rng.uniform(*appearance.stretch))
    # Beyond this distance nothing of it is to be seen.
    reach = radius * stretch * (1.1 + appearance.lobes + appearance.softness)
    (top, left), (bottom, right) = (
        np.clip((centre + side * (reach + 1)).astype(int), 0, size) for side in (-1, 1)
    )
    patch = picture[top:bottom, left:right]
    if not patch.size:
        return
    rows, columns = np.ogrid[top:bottom, left:right]
    y, x = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    turn = rng.uniform(0, math.pi)
    along = (x * math.cos(turn) + y * math.sin(turn)) / stretch
    across = (y * math.cos(turn) - x * math.sin(turn)) * stretch
    distance = np.hypot(along, across) / _outline(along, across, appearance.lobes, rng)
    shape = _step((1 - distance) / appearance.softness)
    if appearance.hollow:
        shape *= _step((distance - appearance.hollow) / appearance.softness)
    colour = patch * (np.array(appearance.tint) + tint)
    if appearance.grain:
        colour *= 1 + 0.28 * appearance.grain * _field(rng, size, size // 4)[top:bottom, left:right, None]
    if appearance.relief:
        colour *= 1 + 0.3 * appearance.relief * (x * math.cos(sun) + y * math.sin(sun)).clip(-1, 1)[..., None]
    edge = np.exp(-(((distance - 0.95) / 0.16) ** 2))
    colour *= 1 - 0.55 * appearance.rim * edge[..., None]
    core = np.exp(-((distance / 0.42) ** 2))[..., None]
    colour += (
        abs(appearance.core) * core * ((np.array([250, 238, 200]) if appearance.core > 0 else 40) - colour)
    )
    if appearance.flecks:
        scales = _step(_field(rng, size, size // 4)[top:bottom, left:right] - 0.5)
        colour += 0.8 * appearance.flecks * scales[..., None] * (np.array([245, 240, 232]) - colour)
    patch += shape[..., None] * (colour - patch)


def _outline(
    along: NDArray[np.float64], across: NDArray[np.float64], lobes: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The radius in every direction, as a factor: a few waves around the circle."""
    angle = np.arctan2(across, along)
    waves = [
        rng.normal(0, 1.2 * lobes / n**0.8) * np.cos(n * angle + rng.uniform(0, 7)) for n in (2, 3, 5, 7)
    ]
    return (1 + sum(waves, np.zeros_like(angle))).clip(0.4, 1.6)


def _step(value: NDArray[np.float64] | Field) -> NDArray[np.float64]:
    """0 far below zero, 1 far above, and a ramp of width 1 between."""
    return (np.asarray(value, dtype=np.float64) + 0.5).clip(0, 1)


def _field(rng: np.random.Generator, size: int, cells: int) -> Field:
    """Smooth noise of about unit strength, its grains size/cells pixels wide."""
    coarse = rng.standard_normal((max(cells, 2),) * 2, dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


def _light(rng: np.random.Generator, size: int) -> Field:
    """Brightness: stronger from one side, darker towards the corners."""
    rows, columns = np.ogrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.18)
    shade = rng.uniform(0.8, 1.1) + slope * (columns * math.cos(angle) + rows * math.sin(angle))
    return np.asarray(shade - rng.uniform(0, 0.1) * (rows**2 + columns**2), dtype=np.float32)


def _draw_hairs(picture: Field, rng: np.random.Generator, count: int) -> None:
    """Thin dark strokes, combed in about one direction."""
    size = len(picture)
    # Drawn at double size, so that they come out fine and smooth.
    mask = Image.new("L", (2 * size, 2 * size))
    pen = ImageDraw.Draw(mask)
    combed = rng.uniform(0, 2 * math.pi)
    for _ in range(count):
        angle, bend = combed + rng.normal(0, 0.3), rng.normal(0, 0.4)
        start, length = rng.uniform(0, 2 * size, 2), size * rng.uniform(0.3, 0.8)
        points = [start]
        for _ in range(6):
            points.append(points[-1] + length / 6 * np.array([math.cos(angle), math.sin(angle)]))
            angle += bend / 6
        pen.line([(float(x), float(y)) for x, y in points], fill=190, width=2)
    covered = np.asarray(mask.resize((size, size), Image.Resampling.BOX), dtype=np.float32)[..., None] / 255
    picture -= covered * (picture - np.array([52, 38, 32], dtype=np.float32))

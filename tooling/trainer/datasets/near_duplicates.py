"""Near duplicates: pictures that look the same though their files differ, by a 64-bit difference hash.

The hash says of a grey thumbnail of 9 by 8 pixels where it gets brighter from left to right. Another size,
format or quality, or a little more light leave most of its bits alone; turning, mirroring or cutting do not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

# Of a picture with less contrast than this (standard deviation of grey levels) the bits are noise.
_LEAST_CONTRAST = 2.0
# Rows of the table of distances that are in memory at once: 128 by 25,000 numbers of 8 bytes are 26 MB.
_ROWS = 128


def difference_hash(picture: Image.Image) -> int | None:
    """64 bits; None of a picture so plain that it has nothing to compare."""
    import numpy as np
    from PIL import Image

    # As fractions: in whole grey levels neighbours are often equal, and their bit a matter of chance.
    thumbnail = picture.convert("L").convert("F").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(thumbnail)
    if grey.std() < _LEAST_CONTRAST:
        return None
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes())


def groups(hashes: Sequence[int], distance: int) -> list[list[int]]:
    """Positions of hashes that are alike, in groups of two and more.

    Each differs from another one in its group by `distance` bits at most.

    Compares all with all: 25,000 in a second or two, in little memory.
    """
    import numpy as np

    places: defaultdict[int, list[int]] = defaultdict(list)
    for position, value in enumerate(hashes):
        places[value].append(position)
    values = np.array(list(places), dtype=np.uint64)
    roots = _connected(values, distance)
    together: defaultdict[int, list[int]] = defaultdict(list)
    for root, positions in zip(roots, places.values(), strict=True):
        together[root] += positions
    return sorted(sorted(group) for group in together.values() if len(group) > 1)


def _connected(values: NDArray[np.uint64], distance: int) -> list[int]:
    """For each value the number of its group."""
    import numpy as np

    parents = list(range(len(values)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for start in range(0, len(values), _ROWS):
        rows = values[start : start + _ROWS, None]
        near = np.bitwise_count(rows ^ values[None, start:]) <= distance
        for row, column in np.argwhere(near).tolist():
            if row < column:
                parents[root(start + row)] = root(start + column)
    return [root(number) for number in range(len(values))]

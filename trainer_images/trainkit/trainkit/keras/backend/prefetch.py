"""Batches made ahead in a thread, for backends that come without input of their own."""

from concurrent.futures import Future, ThreadPoolExecutor

import keras

from trainkit.keras.backend import Batch, Batches

_AHEAD = 2


class Prefetched(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches in their order, the next two made in a thread while one is used.

    Keras's own workers are not taken: with more than one thread, making batches could not be measured.
    """

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches
        self._thread = ThreadPoolExecutor(1, "batches")
        self._made: dict[int, Future[Batch]] = {}

    def __len__(self) -> int:
        """How many."""
        return self._batches.count

    def __getitem__(self, number: int) -> Batch:
        """Keras asks for them one after the other, and sometimes for the first one twice."""
        for later in range(number, min(number + 1 + _AHEAD, len(self))):
            if later not in self._made:
                self._made[later] = self._thread.submit(self._batches.make, later)
        return self._made.pop(number).result()

"""A rate limiter for password guesses, in constant memory.

An account whose password was guessed wrong too often may be tried again at a slow rate only, and so may all
accounts together. Name and password that were right once pass at any time: nobody can lock out another one.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")
MOST = 1000  # accounts that are remembered; to push one out by inventing names takes longer than the limit


@dataclass(frozen=True)
class Rate:
    """A token bucket: `at_once` wrong guesses, then one every `seconds`."""

    at_once: int
    seconds: float


OF_ONE = Rate(20, 5)
OF_ALL = Rate(200, 0.5)


class _Bucket:
    """A token bucket of guesses."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate, self._left, self._at = rate, float(rate.at_once), now

    def wait_s(self, now: float) -> float:
        """Seconds until the next guess is allowed; 0 if it is now."""
        self._left = min(self._rate.at_once, self._left + (now - self._at) / self._rate.seconds)
        self._at = now
        return max(0.0, (1 - self._left) * self._rate.seconds)

    def take(self, count: int = 1) -> None:
        self._left -= count


class RateLimiter:
    """Limits wrong passwords: call `wait_s` before a check, and `record` with its result after it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._asked: set[bytes] = set()  # no more than there are guesses
        self._accounts: OrderedDict[bytes, _Bucket] = OrderedDict()
        self._all = _Bucket(OF_ALL, clock())

    def wait_s(self, user: str, password: str) -> int:
        """The seconds to wait; 0 where the password may be checked now, which `record` may undo."""
        digest = self._digest(user, password)
        if digest in self._right or digest in self._asked:  # many at a time that say the same are one guess
            return 0
        now, bucket = self._clock(), self._bucket(user)
        wait = max(bucket.wait_s(now), self._all.wait_s(now))
        if wait > 0:
            return math.ceil(wait)
        bucket.take()
        self._all.take()
        self._asked.add(digest)
        return 0

    def record(self, user: str, password: str, *, right: bool) -> None:
        """Whether it was right."""
        digest = self._digest(user, password)
        if not right:
            self._right.pop(digest, None)  # it was once, and from now on counts as a guess
        else:
            if digest in self._asked:
                self._bucket(user).take(-1)
                self._all.take(-1)
            _remember(self._right, digest, None)
        self._asked.discard(digest)

    def _bucket(self, user: str) -> _Bucket:
        digest = self._digest(user)
        bucket = self._accounts.pop(digest, None) or _Bucket(OF_ONE, self._clock())
        _remember(self._accounts, digest, bucket)
        return bucket

    def _digest(self, *texts: str) -> bytes:
        # As long as each other, however long the texts are; a password itself is not kept.
        key = "\0".join(texts).encode(errors="surrogatepass")
        return hashlib.blake2b(key, key=self._key, digest_size=16).digest()


def _remember(entries: OrderedDict[bytes, Value], key: bytes, value: Value) -> None:
    entries[key] = value
    if len(entries) > MOST:
        entries.popitem(last=False)

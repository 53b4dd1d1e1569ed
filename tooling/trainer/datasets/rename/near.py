"""Which class somebody meant who wrote another name: in another case, with a typo, in the plural, …"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher

from trainkit.errors import did_you_mean

from trainer.datasets.names import tidy

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
_ALIKE = 0.6  # as difflib's own
_PART = 0.8  # of a name that has all the words that were written, and others
_MOST = 3


def suggestion(name: str, classes: Sequence[str]) -> str:
    """A hint: the class that was probably meant, or those; else all of them."""
    alike = {each: _alike(_words(name), _words(each)) for each in classes}
    most = max(alike.values(), default=0.0)
    near = [each for each in classes if alike[each] == most][:_MOST]
    if most < _ALIKE or not near:
        return f"The classes are {', '.join(classes)}."
    return did_you_mean(*near)


def _words(name: str) -> list[str]:
    """Without what people write in one way or another: case, blanks or `_`, umlauts, accents, plurals."""
    folded = unicodedata.normalize("NFC", tidy(name) or name).casefold().translate(_UMLAUTS)
    plain = "".join(c for c in unicodedata.normalize("NFD", folded) if not unicodedata.combining(c))
    return [_singular(word) for word in re.split(r"[\W_]+", plain) if word]


def _singular(word: str) -> str:
    """Near enough to tell `disease` from nothing but `diseases`: English, and the German -n and -en."""
    for ending, instead in (("ies", "y"), ("ses", "s"), ("en", ""), ("es", "e"), ("s", ""), ("n", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending) + instead
    return word


def _alike(said: list[str], words: list[str]) -> float:
    """From 0 to 1; words in another order are nearly the same."""
    in_order = _ratio("".join(said), "".join(words))
    sorted_words = _ratio("".join(sorted(said)), "".join(sorted(words)))
    has_all = bool(said) and all(any(_ratio(one, word) > _PART for word in words) for one in said)
    return max(in_order, sorted_words * 0.99, _PART * has_all)


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()

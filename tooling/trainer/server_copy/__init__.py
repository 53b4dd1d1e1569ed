"""What a tracking server has of experiments, runs and models, copied to another one.

Nothing is remembered between two calls but on the server that is copied to: a tag of each copy, set when it
is made, says what it is a copy of. What is missing there is what is different, so a copy that was
interrupted goes on, and one that is complete is compared.
"""

from __future__ import annotations

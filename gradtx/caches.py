"""A cache that keeps what is in use, and little more."""

import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any


class LastOfEachKind:
    """Things that are found by a key as long as something has a hold of them; of each kind the last one made or found stays.

    What is compiled takes up to a megabyte. So of optimizers that differ in numbers alone, as in a search for the best, only
    the last leaves its programs behind.

    Args:
      kinds: of how many kinds the last stays.
    """

    def __init__(self, kinds: int):
        self._alive: weakref.WeakValueDictionary[Hashable, Any] = weakref.WeakValueDictionary()
        self._place = functools.lru_cache(maxsize=kinds)(lambda kind: [])

    def get(self, key: Hashable, kind: Hashable, make: Callable[[], Any]) -> Any:
        """Return the thing of a key, which `make` makes if there is none."""
        thing = self._alive.get(key)
        if thing is None:
            thing = self._alive[key] = make()
        self._place(kind)[:] = [thing]
        return thing

    def __len__(self) -> int:
        return len(self._alive)

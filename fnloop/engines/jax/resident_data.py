"""Copies of datasets on a device, which runs on the same data share."""

import weakref
from collections import OrderedDict
from threading import Lock
from typing import Any

from fnloop.core.arrays import AnyArray, Array, is_frozen

LIMIT = 256 << 20  # bytes


class ResidentData:
    """The copies that were used last, up to a limit of their bytes.

    A copy is known by the identity of its array, which is frozen, and is dropped with it.

    Args:
        limit: The limit in bytes. A larger copy is not kept.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._copies, self._lock = limit, OrderedDict[Any, tuple[Any, AnyArray]](), Lock()

    @property
    def nbytes(self) -> int:
        """The bytes of all copies."""
        with self._lock:
            return sum(copy.nbytes for _, copy in self._copies.values())

    def get(self, array: Array, key: Any) -> AnyArray | None:
        """Return the copy of an array, or None.

        Args:
            array: The array.
            key: What the copy depends on besides the array.
        """
        with self._lock:
            alive, copy = self._copies.get((id(array), key), (lambda: None, None))
            if copy is None or alive() is not array or not is_frozen(array):
                return None
            self._copies.move_to_end((id(array), key))
            return copy

    def keep(self, array: Array, key: Any, copy: AnyArray) -> None:
        """Keep the copy of an array, and drop those that were not used for longest.

        Args:
            array: The array.
            key: What the copy depends on besides the array.
            copy: The copy.
        """
        if not is_frozen(array) or copy.nbytes > self._limit:
            return
        with self._lock:
            self._copies = OrderedDict((k, v) for k, v in self._copies.items() if v[0]() is not None)
            self._copies[id(array), key] = weakref.ref(array), copy
            while sum(kept.nbytes for _, kept in self._copies.values()) > self._limit:
                self._copies.popitem(last=False)

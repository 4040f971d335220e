"""The compiled programs that later runs share, up to a limit of their bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any, TypeVar

LIMIT = 384 << 20  # bytes
FOLD, OTHER = 12 << 20, 3 << 20  # bytes of the function `fold` for one shape of data, as measured, and of another function

T = TypeVar("T", bound=tuple[Any, ...])


class KeptPrograms:
    """The programs that were used last: named tuples of functions of `jax.jit`, each compiled once for each shape of data.

    Args:
        limit: The limit in bytes.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._programs, self._lock = limit, OrderedDict[Hashable, tuple[Any, ...]](), RLock()

    @property
    def nbytes(self) -> int:
        """The bytes of all programs, about."""
        with self._lock:
            return sum(map(_nbytes, self._programs.values()))

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the program of a key, and drop those that were not used for longest if the limit is exceeded.

        Args:
            key: What the program depends on.
            make: Makes the program, if it is not kept.
        """
        with self._lock:
            program: Any = self._programs.pop(key, None)
            if program is None:
                program = make()
            while self._programs and self.nbytes + _nbytes(program) > self._limit:
                self._programs.popitem(last=False)
            if _nbytes(program) > self._limit:
                for function in _compiled(program).values():
                    function.clear_cache()
            self._programs[key] = program
            return program  # type: ignore[no-any-return]

    def clear(self) -> None:
        """Drop all programs."""
        with self._lock:
            self._programs.clear()


KEPT = KeptPrograms()


def _compiled(program: Any) -> dict[str, Any]:
    return {name: function for name, function in program._asdict().items() if hasattr(function, "_cache_size")}


def _nbytes(program: Any) -> int:
    functions = _compiled(program).items()
    return sum((FOLD if name == "fold" else OTHER) * function._cache_size() for name, function in functions)

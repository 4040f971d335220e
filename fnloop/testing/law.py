"""What a law is: a name, what should hold, and the search for the smallest example in which it does not."""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple, NoReturn

import attrs
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from fnloop.core.arrays import Array
from fnloop.core.checks import integer
from fnloop.core.digest import bits
from fnloop.core.digest import same_bits as have_same_bits
from fnloop.core.fields import field_names, leaves
from fnloop.core.formatting import listed, short
from fnloop.core.records import RECORD_TYPES
from fnloop.runs.codec import decode, encode

WIDTH = 400  # characters of a value in a message


class LawError(AssertionError):
    """A law does not hold. The message names it, says what should hold, and shows the smallest counter-example found.

    `law` is the law's name alone.
    """

    def __init__(self, law: str, message: str) -> None:
        super().__init__(message)
        self.law = law


class _Broken(Exception):
    """Found within a search: the values that disagree, which the search puts beside the example."""

    def __init__(self, values: Mapping[str, Any], where: str = "") -> None:
        super().__init__(values)
        self.values, self.where = values, where


class Law(NamedTuple):
    """A law: a short name, and a clause that says what should hold."""

    name: str
    should: str

    def check(self, check: Callable[..., None], max_examples: int | None = None, **strategies: Any) -> None:
        """Look for values of the strategies for which the check breaks the law, or raises.

        Raises: LawError: with the smallest such values; ValueError: if max_examples is not at least 1.
        """
        found: list[LawError] = []

        @_settings(max_examples)
        @given(st.fixed_dictionaries(strategies))
        def look(example: dict[str, Any]) -> None:
            shown = [f"  for {name} = {show(value)}" for name, value in example.items()]  # before anything can change it
            try:
                with np.errstate(all="ignore"):
                    check(**example)
            except HypothesisException:
                raise
            except Exception as error:
                found.append(self._error(error, shown))
                raise found[-1] from error

        try:
            look()
        except (LawError, Flaky) as error:
            if not found:
                raise
            # Flaky is what breaks the law only now and then: the smallest that was seen must do.
            smallest = found[-1] if isinstance(error, LawError) else min(found, key=lambda seen: len(str(seen)))
            cause = smallest.__cause__
        else:
            return
        raise LawError(self.name, str(smallest)) from (None if isinstance(cause, _Broken) else cause)

    def check_once(self, check: Callable[[], None]) -> None:
        """The check without anything to choose.

        Raises: LawError: if it breaks the law.
        """
        self.check(check, max_examples=1)

    def _error(self, error: Exception, shown: list[str]) -> LawError:
        where = values = None
        if isinstance(error, _Broken):
            where, values = error.where, error.values
        lines = [f"{self.name}: {self.should}", *shown]
        lines += [f"  at {where}:"] if where else []
        lines += [f"    {name}: {show(value)}" for name, value in (values or {"raised": error}).items()]
        return LawError(self.name, "\n".join(lines))


def check_part(name: str, part: Any, *needed: str) -> None:
    """Refuse what cannot be checked at all.

    Raises: TypeError: if the part has not what is needed, or is a class.
    """
    if isinstance(part, type) or not all(hasattr(part, attribute) for attribute in needed):
        raise TypeError(f"{name} must be an instance with {listed(needed)}, got {short(part)}")


def require(condition: Any, where: str = "", **values: Any) -> None:
    """Break the law unless the condition holds; the values say how."""
    if not condition:
        fail(values, where)


def require_same(a: Any, b: Any, names: tuple[str, str]) -> None:
    """Break the law unless two values are the same to the bit; the first leaf that differs is shown."""
    if not have_same_bits(a, b):
        where, *sides = first_difference(a, b)
        fail(dict(zip(names, sides, strict=True)), where)


def copy_leaves(**values: Any) -> dict[str, Any]:
    """All leaves of the values by their paths, arrays copy_leaves: what `require_unchanged` compares with."""
    return {
        name + (f".{path}" if path[:1].isalpha() else path): leaf.copy() if isinstance(leaf, np.ndarray) else leaf
        for name, value in values.items()
        for path, leaf in leaves(value)
    }


def require_unchanged(before: Mapping[str, Any], **values: Any) -> None:
    """Break the law unless the values are as they were when they were copy_leaves."""
    for path, leaf in copy_leaves(**values).items():
        if path not in before or bits(leaf) != bits(before[path]):
            inner, was, now = first_difference(before.get(path), leaf)
            fail({"before": was, "afterwards": now}, path + inner)


def fail(values: Mapping[str, Any], where: str = "") -> NoReturn:
    """Break the law."""
    raise _Broken({name.replace("_", " "): value for name, value in values.items()}, where)


def first_difference(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """The path of the first leaf in which two values differ, and its two values; of arrays the first such element."""
    missing: Any = "nothing", None
    for (p, x), (q, y) in zip_longest(leaves(a), leaves(b), fillvalue=missing):
        if p != q or bits(x) != bits(y):
            if _are_alike(x, y):
                at = next(i for i in np.ndindex(x.shape) if bits(x[i]) != bits(y[i]))
                return f"{p}{list(map(int, at))}" if at else p, x[at].item(), y[at].item()
            return p, x, y
    raise ValueError(f"a and b must differ, got {short(a)} twice")


def _are_alike(x: Any, y: Any) -> bool:
    return isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and (x.shape, x.dtype) == (y.shape, y.dtype)


def arrays_of(value: Any) -> Iterator[tuple[str, Array]]:
    """The arrays of a value with their paths."""
    return ((path, leaf) for path, leaf in leaves(value) if isinstance(leaf, np.ndarray))


def round_trip(value: Any) -> Any:
    """The value as it comes back from a file: its data alone, in records built anew.

    Raises: TypeError: for what is not data, such as a function.
    """
    arrays: dict[str, Array] = {}
    tree = json.loads(json.dumps(encode(value, arrays), allow_nan=False))
    kinds = {**RECORD_TYPES, **{kind.__name__: kind for kind in _kinds(value)}}
    return decode(tree, {name: array.copy() for name, array in arrays.items()}, kinds)


def _kinds(value: Any) -> Iterator[type]:
    if attrs.has(type(value)):
        yield type(value)
        value = [getattr(value, name) for name in field_names(type(value))]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, tuple | list):
        for item in value:
            yield from _kinds(item)


def show(value: Any) -> str:
    """A value in a message: all digits, in one line, cut where it is long."""
    with np.printoptions(threshold=12, edgeitems=4, floatmode="unique"):
        text = " ".join(repr(value).split())
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}..."


def _settings(max_examples: int | None) -> settings:
    """The user's profile; Hypothesis's own default one is made to draw the same examples each time."""
    chosen: dict[str, Any] = {}
    if settings.default is settings.get_profile("default"):
        chosen = {"derandomize": True, "database": None}
    if max_examples is not None:
        chosen["max_examples"] = integer(1)("max_examples", max_examples)
    return settings(
        deadline=None,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        phases=set(settings().phases) - {Phase.explain},
        suppress_health_check=list(HealthCheck),
        **chosen,
    )

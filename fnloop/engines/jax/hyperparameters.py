"""The numbers of an optimizer as arguments of a compiled program, which then depends on the optimizer's kind alone."""

from collections.abc import Iterator, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from fnloop.core.fields import field_names
from fnloop.core.parameters import Slot
from fnloop.core.records import evolve_unchecked
from fnloop.engines.jax.kernel_pass import Part, precompute_scalars, run_kernels
from fnloop.engines.jax.tracing import code_of, with_float64
from fnloop.optimizers import Elementwise
from fnloop.optimizers.elementwise import Wrapper
from fnloop.optimizers.hyperparameters import ScheduledPart
from fnloop.optimizers.kernel import StepContext

PLACEHOLDER = 0.5  # takes the place of each number in the kind of a part
TRIED = 256  # kinds of parts whose trial is remembered

Numbers = tuple[tuple[float, ...], ...]  # for each part of an optimizer those that are arguments


class PartKind(NamedTuple):
    """A part of an optimizer without its numbers.

    Args:
        part: The part, with placeholders if its numbers are arguments.
        slots: The number of its slots; it may depend on the numbers.
        takes_numbers: Whether its numbers are arguments. Else they are constants of the program.
    """

    part: Elementwise
    slots: int
    takes_numbers: bool


class OptimizerKind(NamedTuple):
    """All of an optimizer that its compiled program depends on.

    Args:
        parts: The kinds of its parts.
        keeps_non_finite: Whether its slots keep a gradient that is not finite.
    """

    parts: tuple[PartKind, ...]
    keeps_non_finite: bool

    def bind(self, numbers: Sequence[Sequence[Any]]) -> list[Part]:
        """Return the parts with these numbers, unchecked: they may be traced."""
        return [
            Part(_bind(kind.part, iter(of_part)) if kind.takes_numbers else kind.part, kind.slots)
            for kind, of_part in zip(self.parts, numbers, strict=True)
        ]


def split_numbers(optimizer: Elementwise, dtype: str) -> tuple[OptimizerKind, Numbers]:
    """Return the kind of an optimizer, and its numbers.

    The numbers of a part that JAX cannot trace with unknown numbers, such as one that compares them, remain in its kind.

    Args:
        optimizer: The optimizer.
        dtype: The dtype of the arrays.
    """
    kinds, numbers = [], []
    for part in optimizer.parts:
        template, of_part = _split(part)
        slots = len(part.slots)
        takes_numbers = bool(of_part) and _takes_numbers(part, template, slots, dtype)
        kinds.append(PartKind(template if takes_numbers else part, slots, takes_numbers))
        numbers.append(tuple(of_part) if takes_numbers else ())
    return OptimizerKind(tuple(kinds), optimizer.keeps_non_finite), tuple(numbers)


def _split(part: Elementwise) -> tuple[Elementwise, list[float]]:
    """Return a part with placeholders, and its numbers. Of schedules, which no program reads, only the names are kept."""
    numbers: list[float] = []

    def replace(value: Any) -> Any:
        if type(value) is float:
            numbers.append(value)
            return PLACEHOLDER
        if type(value) is tuple:
            return tuple(map(replace, value))
        if isinstance(value, Elementwise):
            names = MappingProxyType(dict.fromkeys(value.schedules)) if isinstance(value, ScheduledPart) else {}
            return rebuild(value, lambda name, old: names if name == "schedules" and names else replace(old))
        return value

    return replace(part), numbers


def _bind(template: Elementwise, numbers: Iterator[Any]) -> Elementwise:
    """Return a template's part with numbers in the place of the placeholders."""

    def replace(value: Any) -> Any:
        if type(value) is float:
            return next(numbers)
        if type(value) is tuple:
            return tuple(map(replace, value))
        return rebuild(value, lambda _, old: replace(old)) if isinstance(value, Elementwise) else value

    bound: Elementwise = replace(template)
    return bound


def rebuild(part: Elementwise, change: Any) -> Any:
    """Return a copy of a part whose fields are `change(name, value)`, unchecked."""
    return evolve_unchecked(part, **{name: change(name, getattr(part, name)) for name in field_names(type(part))})


_trials: dict[Any, bool] = {}


def _takes_numbers(part: Elementwise, template: Elementwise, slots: int, dtype: str) -> bool:
    """Return whether JAX can trace a part, and the parts in it, with unknown numbers."""
    key = code_of(template), template, slots, dtype
    if key not in _trials:
        while len(_trials) >= TRIED:
            _trials.pop(next(iter(_trials)), None)
        nested = [part]
        while isinstance(nested[-1], Wrapper):
            nested.append(nested[-1].part)
        _trials[key] = all(_can_trace(each, slots, dtype) for each in nested)
    return _trials[key]


def _can_trace(part: Elementwise, slots: int, dtype: str) -> bool:
    template, numbers = _split(part)
    layout = (Slot(0, 2, (2,)),)

    def run(vector: Any, count: Any, numbers: Any) -> Any:
        scalars = precompute_scalars((part,), layout, StepContext(np.arange(1, 3), np.ones(2)), 2, dtype)
        traced = jax.tree.map(lambda values: vector.sum() * values[0], scalars)
        bound = Part(_bind(template, iter(numbers)), slots)
        return run_kernels([bound], layout, vector, [vector] * slots, vector, StepContext(count, vector.sum()), traced)

    abstract = partial(jax.ShapeDtypeStruct)
    try:
        with with_float64():
            results = jax.eval_shape(run, abstract((2,), dtype), abstract((), np.int32), numbers)
    except Exception:
        return False
    return all(leaf.dtype == dtype for leaf in jax.tree.leaves(results))

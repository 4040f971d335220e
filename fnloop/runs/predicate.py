"""Predicates written as text, such as `val_loss > 0.3 and epoch >= 5`: parsed, and never run as code."""

import ast
import operator
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.runs.reader import Reader
from fnloop.runs.rows import metrics_of
from fnloop.training.state import TrainState

_COMPARE: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_COMPUTE: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 400  # characters
_OWN = ("epoch", "step", "lr")


def of_run(text: str, reader: Reader, metrics: Collection[str]) -> Callable[[Any], bool]:
    """The predicate of a run's states; within an epoch the metrics are those of the last finished epoch."""
    holds = parse(text, metrics)

    def asked(state: Any) -> bool:
        if isinstance(state, TrainState) and state.progress.batches and not state.metrics:
            state = evolve(state, metrics=reader.row(reader.position_of(state.epoch)).metrics)
        return holds(state)

    return asked


def parse(text: str, metrics: Collection[str]) -> Callable[[Any], bool]:
    """The predicate of a state that a text says: comparisons of metrics, `epoch`, `step` and `lr` with numbers.

    They are joined by `and`, `or`, `not`; + - * / and parentheses may stand within. A comparison with a metric that the state
    has not, as before the first epoch's end, does not hold.

    Raises: ValueError: if it is no such text, or names another metric.
    """
    text = text.strip()
    try:
        with warnings.catch_warnings(action="ignore"):  # of what is read strangely; it is shown when it is refused
            tree = ast.parse(text, mode="eval").body if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        raise ValueError(f"predicate must be an expression such as 'val_loss > 0.3', got {short(text[:100])}")
    known = dict.fromkeys([*metrics, *_OWN])
    holds = _truth(tree, text, known)

    def predicate(state: Any) -> bool:
        own = {name: getattr(state, name) for name in _OWN if hasattr(state, name)}
        return holds({**metrics_of(state), **own})

    return predicate


def _truth(node: ast.AST, text: str, known: Mapping[str, None]) -> Callable[[Mapping[str, float]], bool]:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, text, known) for value in node.values]
        join = all if isinstance(node.op, ast.And) else any
        return lambda values: join(part(values) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        part = _truth(node.operand, text, known)
        return lambda values: not part(values)
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
        sides = [_number(side, text, known) for side in (node.left, *node.comparators)]
        compare = [_COMPARE[type(op)] for op in node.ops]

        def holds(values: Mapping[str, float]) -> bool:
            try:
                numbers = [side(values) for side in sides]
                return all(op(a, b) for op, a, b in zip(compare, numbers, numbers[1:], strict=False))
            except (KeyError, ZeroDivisionError, OverflowError):
                return False

        return holds
    raise _refused(node, text, "a comparison")


def _number(node: ast.AST, text: str, known: Mapping[str, None]) -> Callable[[Mapping[str, float]], float]:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        constant: float = node.value  # type: ignore[assignment]
        return lambda values: constant
    if isinstance(node, ast.Name):
        name = node.id
        if name not in known:
            raise ValueError(f"predicate names {short(name)}, which is no metric of this run; there are {listed(known)}")
        return lambda values: values[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        part, sign = _number(node.operand, text, known), 1 if isinstance(node.op, ast.UAdd) else -1
        return lambda values: sign * part(values)
    if isinstance(node, ast.BinOp) and type(node.op) in _COMPUTE:
        left, right, compute = _number(node.left, text, known), _number(node.right, text, known), _COMPUTE[type(node.op)]
        return lambda values: compute(left(values), right(values))
    raise _refused(node, text, "a number or a metric")


def _refused(node: ast.AST, text: str, wanted: str) -> ValueError:
    found = ast.get_source_segment(text, node) if hasattr(node, "lineno") else text
    return ValueError(f"predicate must have {wanted} where it has {short(found)}; such as 'val_loss > 0.3 and epoch >= 5'")

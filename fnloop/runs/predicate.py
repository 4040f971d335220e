"""Predicates from text such as `val_loss > 0.3 and epoch >= 5`, which is parsed and never run as code."""

import ast
import operator
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

from fnloop.core.formatting import listed, short
from fnloop.core.records import evolve
from fnloop.runs.positions import position_of
from fnloop.runs.reader import Reader
from fnloop.runs.rows import metrics_of
from fnloop.training.state import TrainState

_COMPARISONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_OPERATIONS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LONGEST = 400  # characters of an expression
_COUNTERS = ("epoch", "step", "lr")


def predicate_of_run(text: str, reader: Reader) -> Callable[[Any], bool]:
    """Return the predicate of the states of a run for an expression.

    A state within an epoch has no metrics; the predicate uses those of the last finished epoch.

    Args:
        text: The expression.
        reader: The run.

    Raises:
        ValueError: If the text is not an expression that `parse` accepts.
    """
    predicate = parse(text, reader.metric_names())

    def predicate_within_epochs(state: Any) -> bool:
        if isinstance(state, TrainState) and state.progress.batches and not state.metrics:
            state = evolve(state, metrics=reader.row(position_of(reader, state.epoch)).metrics)
        return predicate(state)

    return predicate_within_epochs


def parse(text: str, metrics: Collection[str]) -> Callable[[Any], bool]:
    """Return the predicate of a state for an expression, which is parsed and never run as code.

    An expression compares metrics, `epoch`, `step` and `lr` with numbers. Comparisons are joined by `and`, `or` and `not`; the
    operators `+`, `-`, `*`, `/` and parentheses are allowed. A comparison with a metric that a state does not have, as before
    the end of the first epoch, is false.

    Args:
        text: The expression.
        metrics: The names of the metrics that it may use.

    Raises:
        ValueError: If the text is not such an expression, or names another metric.

    Examples:
        >>> from types import SimpleNamespace
        >>> state = SimpleNamespace(epoch=2, step=40, lr=0.1, metrics={"loss": 0.5})
        >>> parse("loss > 0.3 and epoch >= 2", ["loss"])(state)
        True
    """
    text = text.strip()
    try:
        with warnings.catch_warnings(action="ignore"):  # a SyntaxWarning about text that is refused below
            tree = ast.parse(text, mode="eval").body if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is None:
        raise ValueError(f"predicate must be an expression such as 'val_loss > 0.3', got {short(text[:100])}")
    truth = _truth(tree, text, dict.fromkeys([*metrics, *_COUNTERS]))

    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & {*_COUNTERS} - {*metrics}

    def predicate(state: Any) -> bool:
        counters = {name: getattr(state, name) for name in _COUNTERS if hasattr(state, name)}
        if used - counters.keys():
            raise ValueError(f"predicate names {listed(sorted(used - counters.keys()))}, which the states of this run lack")
        return truth({**metrics_of(state), **counters})

    return predicate


Values = Mapping[str, float]


def _truth(node: ast.AST, text: str, names: Mapping[str, None]) -> Callable[[Values], bool]:
    """Compile a condition to a function of a state's values."""
    if isinstance(node, ast.BoolOp):
        parts = [_truth(value, text, names) for value in node.values]
        join = all if isinstance(node.op, ast.And) else any
        return lambda values: join(part(values) for part in parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        part = _truth(node.operand, text, names)
        return lambda values: not part(values)
    if isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops):
        sides = [_number(side, text, names) for side in (node.left, *node.comparators)]
        compare = [_COMPARISONS[type(op)] for op in node.ops]

        def holds(values: Values) -> bool:
            try:
                numbers = [side(values) for side in sides]
                return all(op(a, b) for op, a, b in zip(compare, numbers, numbers[1:], strict=False))
            except (KeyError, ZeroDivisionError, OverflowError):
                return False

        return holds
    raise _syntax_error(node, text, "a comparison")


def _number(node: ast.AST, text: str, names: Mapping[str, None]) -> Callable[[Values], float]:
    """Compile an arithmetic expression to a function of a state's values."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        constant: float = node.value  # type: ignore[assignment]
        return lambda values: constant
    if isinstance(node, ast.Name):
        name = node.id
        if name not in names:
            raise ValueError(f"predicate names {short(name)}, which is not a metric of this run; there are {listed(names)}")
        return lambda values: values[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        part, sign = _number(node.operand, text, names), 1 if isinstance(node.op, ast.UAdd) else -1
        return lambda values: sign * part(values)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right, compute = _number(node.left, text, names), _number(node.right, text, names), _OPERATIONS[type(node.op)]
        return lambda values: compute(left(values), right(values))
    raise _syntax_error(node, text, "a number or a metric")


def _syntax_error(node: ast.AST, text: str, wanted: str) -> ValueError:
    """Return the error for a part of an expression that is not what is allowed there."""
    found = ast.get_source_segment(text, node) if hasattr(node, "lineno") else text
    return ValueError(f"predicate must have {wanted} instead of {short(found)}, as in 'val_loss > 0.3 and epoch >= 5'")

"""Errors of wrong calls, signatures for `help`, and currying."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, wraps
from inspect import Parameter, Signature, signature
from types import MappingProxyType
from typing import Any, TypeVar

from fnloop.core.formatting import short

F = TypeVar("F", bound=Callable[..., Any])
Hints = Mapping[str, str]  # what to write instead of an argument that does not exist, by its name; "" is for one by position
NO_HINTS: Hints = MappingProxyType({})
_POSITIONAL = Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD


class CodeRepr:
    """A value whose repr is given source code, for signatures in `help`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def explain_calls(hints: Hints = NO_HINTS) -> Callable[[F], F]:
    """Return a decorator: a call that does not fit the signature raises a TypeError with the arguments that exist."""
    return lambda function: with_call_errors(function, function.__name__, signature(function), hints)


def with_call_errors(function: F, name: str, of: Signature, hints: Hints = NO_HINTS) -> F:
    """Return the function with `call_error` as the message for arguments that do not fit a signature."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            wrong = call_error(name, of, args, kwargs, hints)
            if wrong is None:
                raise
        raise TypeError(wrong)

    call.__signature__ = of  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def call_error(name: str, of: Signature, args: Any, kwargs: Mapping[str, Any], hints: Hints = NO_HINTS) -> str | None:
    """Return what is wrong with a call; None if its arguments fit the signature."""
    parameters = {key: parameter for key, parameter in of.parameters.items() if key != "self"}
    args = args[1:] if "self" in of.parameters else args
    if any(parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) for parameter in parameters.values()):
        return None
    positional = [key for key, parameter in parameters.items() if parameter.kind in _POSITIONAL]
    there = f"it takes {', '.join(parameters)}" if parameters else "it takes no arguments"
    for key in kwargs:
        if key not in parameters:
            hint = f": {hints[key]}" if key in hints else did_you_mean(key, parameters)
            return f"{name} has no argument {key!r}{hint}; {there}"
        if key in positional[: len(args)]:
            return f"{name} was given {key!r} twice, by position and by name"
    if len(args) > len(positional):
        named = [key for key in parameters if key not in positional]
        by_name = f"; by name it takes {', '.join(named)}" if named else ""
        hint = f": {hints['']}" if "" in hints else ""
        given = "no argument" if not positional else f"only {', '.join(positional)}"
        return f"{name} takes {given} by position, got {short(args[len(positional)])}{hint}{by_name}"
    missing = [key for key in _required(parameters) if key not in kwargs and key not in positional[: len(args)]]
    return f"{name} needs {' and '.join(missing)}; {there}" if missing else None


def _required(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    return (key for key, parameter in parameters.items() if parameter.default is Parameter.empty)


def did_you_mean(key: Any, names: Iterable[str]) -> str:
    """Return what to add to an error about a name: the known name that is close to it, or `""`."""
    from difflib import get_close_matches

    if not isinstance(key, str):
        return ""
    names = list(names)
    close = get_close_matches(key.lower(), names, 1, 0.75) or [name for name in names if key and key.lower() in name]
    return f", did you mean {close[0]!r}?" if close else ""


def call_hint(value: Any) -> str:
    """Return what to add to an error about a class, or a function of this package, given instead of its result."""
    own = isinstance(value, type) or (callable(value) and str(getattr(value, "__module__", "")).partition(".")[0] == "fnloop")
    return f"; call it: {value.__name__}(...)" if own and hasattr(value, "__name__") else ""


def name_of(function: Any) -> str:
    """Return the name of a function, also if some of its arguments are bound by `functools.partial`."""
    while not hasattr(function, "__name__") and hasattr(function, "func"):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))


def curry(function: Callable[..., Any]) -> Any:
    """Decorate a function for partial calls: a call without all required arguments returns a function of the rest.

    The result has the signature and docstring of the decorated function. A partial call can be pickled.

    Examples:
        >>> add = curry(lambda a, b: a + b)
        >>> add(1)(2), add(1, 2), add(b=1)(2)
        (3, 3, 3)
    """
    of = signature(function)
    required = list(_required(of.parameters))

    @wraps(function)
    def curried(*args: Any, **kwargs: Any) -> Any:
        try:
            given = of.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(call_error(function.__name__, of, args, kwargs) or str(error)) from None
        if all(name in given for name in required):
            return function(*args, **kwargs)
        return partial(curried, *args, **kwargs)

    return curried

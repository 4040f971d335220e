"""A law: a name, a statement, and the search for the smallest example that breaks it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky, HypothesisException

from fnloop.core.checks import integer
from fnloop.core.formatting import short
from fnloop.core.signatures import call_hint

WIDTH = 400  # characters of a value in a message


class LawError(AssertionError):
    """A law that does not hold. The message has the law, its statement, and the smallest counterexample that was found.

    Attributes:
        law: The name of the law.
    """

    def __init__(self, law: str, message: str) -> None:
        super().__init__(message)
        self.law = law


class Violation(Exception):
    """Raised inside a check: the values that break the law, and their path."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        super().__init__(values)
        self.values, self.path = values, path


class Law(NamedTuple):
    """A law.

    Attributes:
        name: A short name.
        statement: What must hold, as a clause with "must".
    """

    name: str
    statement: str

    def check(self, function: Callable[..., None], max_examples: int | None = None, **strategies: Any) -> None:
        """Search for values for which a function breaks the law.

        Args:
            function: Takes a value of each strategy by name. It breaks the law if it raises.
            max_examples: How many examples to try; by default the number in the Hypothesis profile.
            **strategies: The strategies.

        Raises:
            LawError: If an example breaks the law, with the smallest one that was found.
            TypeError: If `max_examples` is not an integer.
            ValueError: If `max_examples` is below 1.

        Examples:
            >>> Law("commutes", "a + b must be b + a").check(lambda a, b: None, a=st.integers(), b=st.integers())
        """
        errors: list[LawError] = []

        @_settings(max_examples)
        @given(st.fixed_dictionaries(strategies))
        def search(example: dict[str, Any]) -> None:
            lines = [f"  for {name} = {show(value)}" for name, value in example.items()]  # before the function can change it
            try:
                with np.errstate(all="ignore"):
                    function(**example)
            except HypothesisException:
                raise
            except Exception as error:
                errors.append(self._error(error, lines))
                raise errors[-1] from error

        try:
            search()
        except (LawError, Flaky) as error:
            if not errors:
                raise
            # Flaky means that the same example does not always break the law: report the smallest one that did.
            smallest = errors[-1] if isinstance(error, LawError) else min(errors, key=lambda found: len(str(found)))
            cause = smallest.__cause__
        else:
            return
        raise LawError(self.name, str(smallest)) from (None if isinstance(cause, Violation) else cause)

    def check_once(self, function: Callable[[], None]) -> None:
        """Call a function that breaks the law if it raises.

        Args:
            function: Takes no arguments.

        Raises:
            LawError: If the function raises.
        """
        self.check(function, max_examples=1)

    def _error(self, error: Exception, example: list[str]) -> LawError:
        path, values = (error.path, error.values) if isinstance(error, Violation) else ("", {"raised": error})
        lines = [f"{self.name}: {self.statement}", *example]
        lines += [f"  at {path}:"] if path else []
        lines += [f"    {name}: {show(value)}" for name, value in values.items()]
        return LawError(self.name, "\n".join(lines))


def violate(values: Mapping[str, Any], path: str = "") -> NoReturn:
    """Break the law that is being checked.

    Args:
        values: The values to show, by name; an underscore in a name is shown as a space.
        path: Where the values are, such as `"params.vector[3]"`.

    Raises:
        Violation: Always.
    """
    raise Violation({name.replace("_", " "): value for name, value in values.items()}, path)


def require_callable(name: str, value: Any) -> None:
    """Check that an argument can be called.

    Args:
        name: Name of the argument, for the message.
        value: The argument.

    Raises:
        TypeError: If it is not callable, or is a class.

    Examples:
        >>> require_callable("step", 3)
        Traceback (most recent call last):
        TypeError: step must be a function, got 3
    """
    if isinstance(value, type) or not callable(value):
        raise TypeError(f"{name} must be a function, got {short(value)}{call_hint(value)}")


def show(value: Any) -> str:
    """Return a value for a message: with all digits, on one line, cut if it is long.

    Args:
        value: Any value.

    Examples:
        >>> show(np.array([0.1, 2.0]))
        'array([0.1, 2. ])'
    """
    with np.printoptions(threshold=12, edgeitems=4, floatmode="unique"):
        text = " ".join(repr(value).split())
    return text if len(text) <= WIDTH else f"{text[:WIDTH]}..."


def _settings(max_examples: int | None) -> settings:
    """The settings of the user's profile; with Hypothesis's default profile, the examples are the same in each run."""
    options: dict[str, Any] = {}
    if settings.default is settings.get_profile("default"):
        options = {"derandomize": True, "database": None}
    if max_examples is not None:
        options["max_examples"] = integer(1)("max_examples", max_examples)
    return settings(
        deadline=None,
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        phases=set(settings().phases) - {Phase.explain},
        suppress_health_check=list(HealthCheck),
        **options,
    )

"""Optimizers by their names."""

from collections.abc import Callable
from typing import Any

from fnloop.core.formatting import short
from fnloop.core.lookup import by_name
from fnloop.core.signatures import call_hint
from fnloop.optimizers.adagrad import Adadelta, Adagrad
from fnloop.optimizers.adam import Adam, AdamW
from fnloop.optimizers.adam_variants import Adamax, AMSGrad, RAdam
from fnloop.optimizers.argument_hints import LEARNING_RATE_HINT
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.layerwise import LAMB
from fnloop.optimizers.lion import Lion
from fnloop.optimizers.nadam import NAdam
from fnloop.optimizers.rmsprop import RMSprop
from fnloop.optimizers.rprop import Rprop
from fnloop.optimizers.sgd import SGD

_ALL: tuple[Callable[[], Elementwise], ...] = (
    Adam, AdamW, SGD, RMSprop, NAdam, RAdam, AMSGrad, Adamax, Adagrad, Adadelta, Lion, LAMB, Rprop,
)  # fmt: skip
OPTIMIZERS: dict[str, Callable[[], Elementwise]] = {make.__name__.lower(): make for make in _ALL}


def get_optimizer(optimizer: str | Elementwise) -> Elementwise:
    """The optimizer of that name, whatever its case, with its defaults; an optimizer as it is.

    Examples:
        >>> get_optimizer("adam")
        Adam(b1=0.9, b2=0.999, eps=1e-08)

    Raises: ValueError: for an unknown name, with those that there are; TypeError: for what is no optimizer.
    """
    if isinstance(optimizer, str):
        return by_name("optimizer", optimizer, OPTIMIZERS)()
    found: Any = optimizer
    if isinstance(optimizer, type) or not all(hasattr(optimizer, name) for name in ("init", "update", "parts")):
        hint = f": {LEARNING_RATE_HINT}" if isinstance(optimizer, int | float) else call_hint(optimizer)
        raise TypeError(
            f"optimizer must be a name, such as 'adam', or an optimizer, such as fl.optimizers.SGD(momentum=0.9), "
            f"got {short(optimizer)}{hint}"
        )
    return found  # type: ignore[no-any-return]

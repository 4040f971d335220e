"""Optimizers by name."""

from collections.abc import Callable, Mapping

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

OPTIMIZERS: Mapping[str, Callable[[], Elementwise]] = {
    optimizer.__name__.lower(): optimizer
    for optimizer in (Adam, AdamW, SGD, RMSprop, NAdam, RAdam, AMSGrad, Adamax, Adagrad, Adadelta, Lion, LAMB, Rprop)
}


def get_optimizer(optimizer: str | Elementwise) -> Elementwise:
    """Return the optimizer of a name, with its defaults; an optimizer is returned unchanged.

    Args:
        optimizer: A name, in any case, or an optimizer.

    Raises:
        TypeError: If it is neither a name nor an optimizer.
        ValueError: If the name is unknown. The message lists the known ones.

    Examples:
        >>> get_optimizer("adam")
        Adam(b1=0.9, b2=0.999, eps=1e-08)
    """
    if isinstance(optimizer, str):
        return by_name("optimizer", optimizer, OPTIMIZERS)()
    if not isinstance(optimizer, Elementwise):
        hint = f": {LEARNING_RATE_HINT}" if isinstance(optimizer, int | float) else call_hint(optimizer)
        raise TypeError(
            f"optimizer must be a name, such as 'adam', or an optimizer, such as fl.optimizers.SGD(momentum=0.9), "
            f"got {short(optimizer)}{hint}"
        )
    return optimizer

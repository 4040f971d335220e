"""Stochastic gradient descent, optionally with momentum."""

from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Decay, Flag
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.optimizers.elementwise import Elementwise
from fnloop.optimizers.kernel import Scalars


@frozen
class SGD(Elementwise):
    """Follow the gradient, or a momentum of gradients.

        mu' = momentum mu + g        direction = mu', or g + momentum mu' with Nesterov momentum

    Args:
        momentum: Decay rate of the momentum, in [0, 1). The default, 0, has no slot.
        nesterov: Whether to use Nesterov momentum. Default: False.

    Shapes:
        gradient, mu, direction: (P,).

    Raises:
        ValueError: If momentum is outside its interval, or is 0 with `nesterov`.

    Source: Sutskever et al. 2013, On the importance of initialization and momentum in deep learning.
    """

    _: KW_ONLY
    momentum: Decay = 0.0
    nesterov: Flag = False

    def __attrs_post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise ValueError(f"nesterov needs a momentum above 0, got momentum={short(self.momentum)}")

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        """The momentum, if it is used."""
        return ("mu",) if self.momentum else ()

    @property
    def keeps_non_finite(self) -> bool:  # type: ignore[override]
        """Whether there is a momentum."""
        return bool(self.momentum)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the direction and the new momentum."""
        if not slots:
            return gradient, ()
        (mu,) = slots
        mu *= self.momentum
        mu += gradient
        return (gradient + self.momentum * mu if self.nesterov else mu), (mu,)

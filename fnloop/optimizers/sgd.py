"""Stochastic gradient descent, with momentum if wanted."""

from dataclasses import KW_ONLY
from typing import Any

from fnloop.core.checks import Decay, Flag
from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.optimizers.elementwise import Elementwise


@frozen
class SGD(Elementwise):
    """Follow the gradient, or a running sum of gradients.

        m' = momentum m + g        direction = m', or g + momentum m' with Nesterov's look ahead

    Args:
        momentum: in [0, 1); 0 keeps no slot.
    Raises: ValueError: if momentum lies outside [0, 1), or Nesterov is asked for without momentum.
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
        return ("momentum",) if self.momentum else ()

    @property
    def keeps_non_finite(self) -> bool:  # type: ignore[override]
        return bool(self.momentum)

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        if not slots:
            return gradient, ()
        (m,) = slots
        m *= self.momentum
        m += gradient
        return (gradient + self.momentum * m if self.nesterov else m), (m,)

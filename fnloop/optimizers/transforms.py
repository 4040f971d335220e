"""Transformations of each element of a gradient: clips, weight decay, penalties.

Transformations are frozen records like the optimizers. Their names are in lower case, as they read in a chain.
"""

from collections.abc import Sequence
from typing import Any

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import NonNegative, Positive
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.optimizers.elementwise import Transformation
from fnloop.optimizers.kernel import Scalars, StepContext
from fnloop.optimizers.norms import clip_scaling, rescale, within_range


@frozen
class clip_by_global_norm(Transformation):
    """Scale the gradient down to a norm of at most `max_norm`, in the same direction: g min(1, max_norm / |g|).

    A zero gradient stays zero, and NaN and infinity become NaN. Finite gradients of any size are clipped without overflow.

    Args:
        max_norm: Largest norm, above 0; in the units of the gradient.

    Raises:
        ValueError: If `max_norm` is not above 0.

    Examples:
        >>> import numpy as np
        >>> from fnloop.optimizers import SGD, chain
        >>> optimizer, vector = chain(clip_by_global_norm(1.0), SGD()), np.zeros(2)
        >>> optimizer.update(np.array([3.0, 4.0]), optimizer.init(vector), vector)[0]
        array([0.6, 0.8])

    Source: Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks, Algorithm 1.

    See Also:
        `clip_by_norm` for each array, `clip_by_value` for each element
    """

    max_norm: Positive

    depends_on = "norm"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the scaling that limits the norm."""
        return clip_scaling(context.norm, self.max_norm)

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the scaled gradient."""
        return rescale(gradient, scalars), ()


@frozen
class add_decayed_weights(Transformation):
    """Add the decayed parameters: g + weight_decay * params.

    After an optimizer the decay is decoupled, as in AdamW. Before it, the decay is an L2 penalty.

    Args:
        weight_decay: Decay per unit of the learning rate, at least 0.

    Raises:
        ValueError: If `weight_decay` is negative.

    Examples:
        >>> from fnloop.optimizers import NAdam, chain
        >>> chain(NAdam(), add_decayed_weights(0.01)).parts[1]
        add_decayed_weights(weight_decay=0.01)
    """

    weight_decay: NonNegative

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient with the decay."""
        gradient += self.weight_decay * params
        return gradient, ()


@frozen
class clip_by_value(Transformation):
    """Limit each element to [-max_value, max_value]; NaN stays NaN.

    This changes the direction of the gradient; `clip_by_global_norm` does not.

    Args:
        max_value: Largest absolute value, above 0; in the units of the gradient.

    Raises:
        ValueError: If `max_value` is not above 0.
    """

    max_value: Positive

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the limited gradient."""
        bound = within_range(self.max_value, gradient)
        return namespace(gradient).clip(gradient, -bound, bound), ()


@frozen
class add_l1_penalty(Transformation):
    """Add the gradient of the penalty l1 * sum |params|: g + l1 * sign(params).

    It moves parameters towards zero, and must be the first in a chain.

    Args:
        l1: Weight of the penalty, at least 0.

    Raises:
        ValueError: If `l1` is negative.

    Source: Tibshirani 1996, Regression shrinkage and selection via the lasso.
    """

    l1: NonNegative

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient with that of the penalty."""
        gradient += self.l1 * namespace(params).sign(params)
        return gradient, ()


@frozen
class add_l2_penalty(Transformation):
    """Add the gradient of the penalty l2 / 2 * sum params²: g + l2 * params.

    It must be the first in a chain. After an optimizer the same term is a decoupled decay, `add_decayed_weights`.

    Args:
        l2: Weight of the penalty, at least 0.

    Raises:
        ValueError: If `l2` is negative.

    Source: Hoerl & Kennard 1970, Ridge regression: biased estimation for nonorthogonal problems.
    """

    l2: NonNegative

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient with that of the penalty."""
        gradient += self.l2 * params
        return gradient, ()

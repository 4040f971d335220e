"""Optimizers that consist of several parts, and `chain`, which makes one of any parts."""

from fnloop.core.formatting import Call, short
from fnloop.core.records import frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.elementwise import Elementwise


class Composite(Elementwise):
    """Base of an optimizer that consists of several parts: a subclass defines `parts`."""

    __slots__ = ()

    def __attrs_post_init__(self) -> None:
        parts = self.parts
        for part in parts[:-1]:
            if part.keeps_average:
                raise ValueError(
                    f"an average of the parameters must be last in a chain, got {short(part)} before {short(parts[-1])}"
                )

    @property
    def keeps_non_finite(self) -> bool:  # type: ignore[override]
        """Whether a non-finite gradient leaves a slot non-finite: whether the first part does so."""
        return bool(self.parts) and self.parts[0].keeps_non_finite


@frozen
class Chain(Composite):
    """Transformations in order, as `chain` returns them.

    Args:
        transformations: Optimizers and transformations; each gets the direction of the one before as its gradient.
    """

    transformations: tuple[Elementwise, ...]

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """The kernels of all transformations, in order."""
        return tuple(part for transformation in self.transformations for part in transformation.parts)

    def __as_call__(self) -> Call:
        return Call("chain", self.transformations, {})


def chain(*transformations: Elementwise) -> Chain:
    """Pass each transformation's direction to the next as its gradient, all in one pass over memory.

    Args:
        transformations: Optimizers and transformations, in order. An average of the parameters must be last.

    Raises:
        TypeError: If an argument is not an optimizer or a transformation.
        ValueError: If an average of the parameters is not last.

    Examples:
        >>> from fnloop.optimizers import Lion, chain, clip_by_global_norm
        >>> chain(clip_by_global_norm(1.0), Lion(weight_decay=0.1))
        chain(clip_by_global_norm(max_norm=1.0), Lion(b1=0.9, b2=0.99, weight_decay=0.1))
    """
    for i, transformation in enumerate(transformations):
        if not isinstance(transformation, Elementwise):
            hint = "; write chain(*[...])" if isinstance(transformation, list | tuple) else call_hint(transformation)
            raise TypeError(f"chain takes optimizers and transformations, got {short(transformation)} at index {i}{hint}")
    return Chain(transformations)

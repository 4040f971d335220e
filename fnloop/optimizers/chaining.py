"""Optimizers one behind the other."""

from fnloop.core.formatting import short
from fnloop.core.records import frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.elementwise import Elementwise


@frozen
class Chain(Elementwise):
    """See `chain`."""

    transformations: tuple[Elementwise, ...]

    def __attrs_post_init__(self) -> None:
        for part in self.parts[:-1]:
            if part.keeps_average:
                raise ValueError(
                    f"an average of the parameters stands last in a chain, got {short(part)} before {short(self.parts[-1])}"
                )

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        return tuple(part for transformation in self.transformations for part in transformation.parts)

    @property
    def keeps_non_finite(self) -> bool:  # type: ignore[override]
        return bool(self.parts) and self.parts[0].keeps_non_finite


def chain(*transformations: Elementwise) -> Chain:
    """Feed each transformation's direction to the next as its gradient, all in one pass over memory.

    Examples:
        chain(clip_by_global_norm(1.0), Adam())
    Raises: TypeError: if an argument is no transformation; ValueError: if an average of the parameters does not stand last.
    """
    for i, transformation in enumerate(transformations):
        if not isinstance(transformation, Elementwise):
            hint = "; write chain(*[...])" if isinstance(transformation, list | tuple) else call_hint(transformation)
            raise TypeError(f"chain takes optimizers and transformations, got {short(transformation)} at place {i}{hint}")
    return Chain(transformations)

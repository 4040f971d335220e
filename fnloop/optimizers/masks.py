"""Transformations of some layers or kinds of parameters only: masks, frozen layers, learning rates by layer.

Layers are given by their index into `state.params.layers`, which has the layers with parameters, from 0. The kind of an array
is its name in the layer's record: `weights` and `biases` of dense and convolutional layers, `scale` and `shift` of
normalizations, `vectors` of an embedding, and the names that custom layers use.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY
from typing import Annotated, Any

import attrs

from fnloop.core.arrays import AnyArray
from fnloop.core.checks import Converted, NonNegatives, integer, optional, sequence_of, text
from fnloop.core.formatting import Call, short
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.argument_hints import TRANSFORMATION_HINTS
from fnloop.optimizers.chaining import Composite
from fnloop.optimizers.elementwise import Elementwise, Wrapper
from fnloop.optimizers.kernel import DependsOn, Scalars, StepContext

Layers = Annotated[tuple[int, ...], sequence_of(integer(0))]
OptionalLayers = Annotated[tuple[int, ...] | None, optional(sequence_of(integer(0)))]
OptionalKinds = Annotated[tuple[str, ...] | None, optional(sequence_of(text))]
GivenLayers = Annotated[Converted[tuple[int, ...] | None, Sequence[int]], optional(sequence_of(integer(0)))]
GivenKinds = Annotated[Converted[tuple[str, ...] | None, Sequence[str]], optional(sequence_of(text))]


@frozen
class Masked(Wrapper):
    """One part of a masked transformation.

    `keeps_non_finite` is False: a non-finite gradient of an array that the mask excludes is not kept.
    """

    part: Elementwise
    layers: OptionalLayers = None
    kinds: OptionalKinds = None

    @property
    def depends_on(self) -> DependsOn | None:  # type: ignore[override]
        """The dependencies of the scalars of the part, at least the layer."""
        return self.part.depends_on or "layer"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the scalars of the part in a tuple, or None for an array that the mask excludes."""
        if self.kinds is not None and context.kind is None:
            raise ValueError(f"layout must be given, such as model.layout, to find kinds={short(self.kinds)}")
        in_layers = self.layers is None or context.layer in self.layers
        in_kinds = self.kinds is None or context.kind in self.kinds
        return (self.part.scalars(context),) if in_layers and in_kinds else None

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return what the part returns, or gradient and slots unchanged for an array that the mask excludes."""
        return (gradient, slots) if scalars is None else self.part.kernel(gradient, slots, params, *scalars)

    def __as_call__(self) -> Call:
        return Call("masked", (self.part,), {"layers": self.layers, "kinds": self.kinds})


@frozen
class masked(Composite):
    """Apply an optimizer or a transformation to some layers or kinds of parameters; other gradients pass unchanged.

    Args:
        transformation: The optimizer or transformation.
        layers: Indices into `state.params.layers`. By default all layers.
        kinds: `"weights"`, `"biases"`, `"scale"`, `"shift"`, `"vectors"`, or names of custom layers. By default all kinds.

    Raises:
        TypeError: If an argument has the wrong type, or neither `layers` nor `kinds` is given.
        ValueError: If a part depends on all layers, such as a clip by the global norm, or is an average of the parameters.

    Examples:
        AdamW whose decay excludes biases and normalizations:

        >>> from fnloop.optimizers import Adam, add_decayed_weights, chain
        >>> optimizer = chain(Adam(), masked(add_decayed_weights(0.01), kinds=["weights", "vectors"]))
        >>> optimizer.transformations[1]
        masked(transformation=add_decayed_weights(weight_decay=0.01), layers=None, kinds=('weights', 'vectors'))
    """

    argument_hints = TRANSFORMATION_HINTS

    transformation: Elementwise
    layers: GivenLayers = attrs.field(default=None)
    _: KW_ONLY
    kinds: GivenKinds = attrs.field(default=None)

    def __attrs_post_init__(self) -> None:
        if self.layers is None and self.kinds is None:
            raise TypeError("masked takes layers=[0, ...], kinds=['weights', ...] or both, got neither")
        if not isinstance(self.transformation, Elementwise):
            raise TypeError(
                f"transformation must be an optimizer or a transformation, got {short(self.transformation)}"
                f"{call_hint(self.transformation)}"
            )
        for part in self.transformation.parts:
            if part.depends_on == "norm" or part.keeps_average:
                raise ValueError(
                    f"transformation must work layer by layer to be masked, got {short(part)}: chain it with masked(...)"
                )

    @property
    def parts(self) -> tuple[Elementwise, ...]:
        """The parts of the transformation, each with the mask."""
        return tuple(Masked(part, self.layers, self.kinds) for part in self.transformation.parts)


@frozen
class Freeze(Elementwise):
    """Layers whose parameters do not change, as `freeze` returns them."""

    layers: Layers

    depends_on = "layer"

    def scalars(self, context: StepContext) -> Scalars:
        """Return None for a frozen layer."""
        return None if context.layer in self.layers else ()

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return zeros for a frozen layer, else the gradient."""
        return (namespace(gradient).zeros_like(gradient) if scalars is None else gradient), ()

    def __as_call__(self) -> Call:
        return Call("freeze", self.layers, {})


def freeze(*layers: int) -> Freeze:
    """Keep the parameters of some layers unchanged, to the bit; it must come after every part that makes a direction.

    Args:
        layers: Indices into `state.params.layers`.

    Raises:
        TypeError: If an index is not an integer.
        ValueError: If an index is negative.

    Examples:
        >>> from fnloop.optimizers import Adam, chain
        >>> chain(Adam(), freeze(0, 1)).parts[1]
        freeze(0, 1)
    """
    return Freeze(layers)


@frozen
class ScaleByLayer(Elementwise):
    """Factors of learning rates by layer, as `scale_by_layer` returns them."""

    layers: Layers
    factors: NonNegatives

    depends_on = "layer"

    def scalars(self, context: StepContext) -> Scalars:
        """Return the factor of the layer."""
        return dict(zip(self.layers, self.factors, strict=True)).get(context.layer, 1.0)  # type: ignore[arg-type]

    def kernel(self, gradient: AnyArray, slots: Sequence[AnyArray], params: AnyArray, scalars: Scalars) -> tuple[Any, Any]:
        """Return the gradient times the factor."""
        gradient *= scalars
        return gradient, ()

    def __as_call__(self) -> Call:
        return Call("scale_by_layer", (dict(zip(self.layers, self.factors, strict=True)),), {})


def scale_by_layer(factors: Mapping[int, float] | Sequence[float]) -> ScaleByLayer:
    """Multiply the direction of each layer by a factor, for learning rates by layer; it must come after the optimizer.

    Args:
        factors: Factors of at least 0: a mapping from indices into `state.params.layers` (other layers keep a factor of 1), or
            a sequence with one for each layer.

    Raises:
        TypeError: If `factors` is neither a mapping nor a sequence.
        ValueError: If a factor is negative.

    Examples:
        >>> from fnloop.optimizers import Adam, chain
        >>> chain(Adam(), scale_by_layer({0: 0.1, 1: 0.3})).parts[1]
        scale_by_layer({0: 0.1, 1: 0.3})
    """
    if isinstance(factors, str) or not isinstance(factors, Mapping | Sequence):
        raise TypeError(f"factors must be a mapping from layers to numbers, or a sequence of them, got {short(factors)}")
    by_layer = factors if isinstance(factors, Mapping) else dict(enumerate(factors))
    return ScaleByLayer(tuple(by_layer), tuple(by_layer.values()))


def named_layers(part: Elementwise) -> Iterator[int]:
    """Yield the layers that a part, or the part that it wraps, names."""
    if isinstance(part, Masked | Freeze | ScaleByLayer):
        yield from part.layers or ()
    if isinstance(part, Wrapper):
        yield from named_layers(part.part)


def named_kinds(part: Elementwise) -> Iterator[str]:
    """Yield the kinds of parameters that a part, or the part that it wraps, names."""
    if isinstance(part, Masked):
        yield from part.kinds or ()
    if isinstance(part, Wrapper):
        yield from named_kinds(part.part)

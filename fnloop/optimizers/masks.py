"""What holds for some layers or kinds of parameters only: masks, frozen layers, learning rates of their own.

Layers are named by their index into `state.params.layers`: those with parameters, from 0. The kind of an array is its name in
the record there: `weights` and `biases` of dense and convolutional layers, `scale` and `shift` of normalisations, `vectors` of
an embedding, and the names that layers of your own give theirs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from fnloop.core.checks import NonNegatives, integer, optional, sequence_of, text
from fnloop.core.formatting import short
from fnloop.core.namespace import namespace
from fnloop.core.records import frozen
from fnloop.core.signatures import call_hint
from fnloop.optimizers.chaining import Chain
from fnloop.optimizers.elementwise import Elementwise, Wrapper
from fnloop.optimizers.kernel import StepContext

Layers = Annotated[tuple[int, ...], sequence_of(integer(0))]
Some = Annotated[tuple[int, ...] | None, optional(sequence_of(integer(0)))]
Kinds = Annotated[tuple[str, ...] | None, optional(sequence_of(text))]


@frozen
class Masked(Wrapper):
    """See `masked`."""

    part: Elementwise
    layers: Some = None
    kinds: Kinds = None

    @property
    def depends_on(self) -> Any:  # type: ignore[override]
        return self.part.depends_on or "layer"

    def scalars(self, context: StepContext) -> Any:
        if self.kinds is not None and context.kind is None:
            raise ValueError(f"layout must be given, such as model.layout, for kinds={short(self.kinds)} to have a meaning")
        here = self.layers is None or context.layer in self.layers
        return (self.part.scalars(context),) if here and (self.kinds is None or context.kind in self.kinds) else None

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return (gradient, slots) if scalars is None else self.part.kernel(gradient, slots, params, *scalars)


def masked(
    transformation: Elementwise, layers: Sequence[int] | None = None, *, kinds: Sequence[str] | None = None
) -> Elementwise:
    """Apply an optimizer or a transformation to some layers or kinds of parameters only; other gradients pass unchanged.

    Args:
        layers: indices into `state.params.layers`; by default all layers.
        kinds: `"weights"`, `"biases"`, `"scale"`, `"shift"`, `"vectors"`, or names of your own layers; by default all kinds.
    Examples:
        chain(masked(add_decayed_weights(0.1), layers=[0, 1]), Adam())

        AdamW whose decay spares biases and normalisations:

        chain(Adam(), masked(add_decayed_weights(0.01), kinds=["weights", "vectors"]))
    Raises: TypeError, ValueError: for what is no transformation, no index or no kind, if neither layers nor kinds are given,
        and for parts that need all layers at once or must be last: a clip by the global norm, an average of the parameters.
    """
    if layers is None and kinds is None:
        raise TypeError("masked takes layers=[0, ...], kinds=['weights', ...] or both, got neither")
    if not isinstance(transformation, Elementwise):
        raise TypeError(
            f"transformation must be an optimizer or a transformation, got {short(transformation)}{call_hint(transformation)}"
        )
    for part in transformation.parts:
        if part.depends_on == "norm" or part.keeps_average:
            raise ValueError(
                f"transformation must work layer by layer to be masked, got {short(part)}: chain it with masked(...)"
            )
    parts = tuple(Masked(part, layers, kinds) for part in transformation.parts)  # type: ignore[arg-type]
    return parts[0] if len(parts) == 1 else Chain(parts)


@frozen
class Freeze(Elementwise):
    """See `freeze`."""

    layers: Layers

    depends_on = "layer"

    def scalars(self, context: StepContext) -> Any:
        return None if context.layer in self.layers else ()

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        return (namespace(gradient).zeros_like(gradient) if scalars is None else gradient), ()


def freeze(*layers: int) -> Freeze:
    """Let no bit of these layers' parameters change: stands last, behind all that makes a direction.

    Args:
        layers: indices into `state.params.layers`.
    Examples:
        chain(AdamW(), freeze(0, 1))
    """
    return Freeze(layers)


@frozen
class ScaleByLayer(Elementwise):
    """See `scale_by_layer`."""

    layers: Layers
    factors: NonNegatives

    depends_on = "layer"

    def scalars(self, context: StepContext) -> Any:
        return dict(zip(self.layers, self.factors, strict=True)).get(context.layer, 1.0)  # type: ignore[arg-type]

    def kernel(self, gradient: Any, slots: Any, params: Any, scalars: Any) -> tuple[Any, Any]:
        gradient *= scalars
        return gradient, ()


def scale_by_layer(factors: Mapping[int, float] | Sequence[float]) -> ScaleByLayer:
    """Give layers learning rates of their own: the direction times the layer's factor. Stands behind the optimizer.

    Args:
        factors: at least 0, by index into `state.params.layers` (layers that are not named keep theirs), or one a layer.
    Examples:
        chain(Adam(), scale_by_layer({0: 0.1, 1: 0.3}))
    """
    if isinstance(factors, str) or not isinstance(factors, Mapping | Sequence):
        raise TypeError(f"factors must be a mapping from layers to numbers, or a sequence of them, got {short(factors)}")
    named = factors if isinstance(factors, Mapping) else dict(enumerate(factors))
    return ScaleByLayer(tuple(named), tuple(named.values()))


def named_layers(part: Any) -> Iterator[int]:
    """The layers that a part, or one within it, names."""
    yield from getattr(part, "layers", None) or ()
    if isinstance(part, Masked):
        yield from named_layers(part.part)


def named_kinds(part: Any) -> Iterator[str]:
    """The kinds of parameters that a part, or one within it, names."""
    if isinstance(part, Masked):
        yield from part.kinds or ()
        yield from named_kinds(part.part)

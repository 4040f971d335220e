"""What holds of every layer."""

import math
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from fnloop.core.arrays import Array
from fnloop.core.checks import integer
from fnloop.core.parameters import lay_out
from fnloop.core.random import Stream, uniform
from fnloop.core.records import evolve
from fnloop.losses import MeanSquaredError
from fnloop.nn import Context, Dense, Flatten, Layer, Sequential
from fnloop.nn.layer import Draw, Forward, make_params, require_layer
from fnloop.optimizers import SGD
from fnloop.testing.catalog import dataset
from fnloop.testing.engine_laws import check_engine
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.gradients import GRADIENT, require_gradient
from fnloop.testing.law import Law, copy_leaves, require, require_same, require_unchanged
from fnloop.training.trainer import Trainer

CONTRACT = Law("contract", "initial must fill the shapes with finite numbers; y and dx must keep rows, shapes and dtype")
PURITY = Law("purity", "forward and backward must give the same bits again, and leave x, the parameters and dy as they were")
ROWS = Law("independent rows", "outside training, forward on a batch must be forward on its parts, to rounding")

_EXAMPLES = {"rows": st.integers(1, 4), "seed": st.integers(0, 10**6)}


class Pass(NamedTuple):
    """What a layer makes of a case: y, its new buffers, and of dy the gradients of the parameters and of x."""

    y: Any
    buffers: Any
    dy: Array
    grads: Array
    dx: Any


class Case(NamedTuple):
    """Random parameters, flat (P,), and inputs (N, ...) for a layer."""

    vector: Array
    x: Array


def check_layer(
    layer: Any, inputs: int | tuple[int, ...], *, engine: str | None = None, max_examples: int | None = None
) -> None:
    """Check that a layer keeps the laws: contract, purity, no global random state, gradients, and independent rows.

    The gradients that `backward` writes (anew, not added to what stands there) and the dx that it returns are compared with
    central differences in float64, at normal parameters and inputs.

    Args:
        layer: The layer, a `fnloop.nn.Layer` that takes any real values.
        inputs: The shape of an example: D for x of shape (N, D), or a tuple.
        engine: `"jax"` to check as well that JAX traces it and agrees.
        max_examples: tried for each law; by default as many as Hypothesis's profile says.
    Raises: LawError: with the law's name and the smallest counter-example.

    Examples:
        >>> from fnloop.nn import Dense
        >>> check_layer(Dense(3, 2), 3, max_examples=20)

    See Also: check_gradients, fnloop.testing.layers
    """
    require_layer("layer", layer)
    shape = inputs if isinstance(inputs, tuple) else (integer(1)("inputs", inputs),)

    def case(rows: int, seed: int, dtype: str = "float64") -> Case:
        generator = np.random.default_rng(seed)
        vector, x = generator.standard_normal(sum(_sizes(layer))), generator.standard_normal((rows, *shape))
        return Case(vector.astype(dtype), x.astype(dtype))

    def contract(rows: int, seed: int, dtype: str) -> None:
        initial = layer.initial(seed, 0)
        sizes = [np.size(array) for array in initial]
        require(sizes == _sizes(layer), sizes_of_initial=sizes, of_shapes=_sizes(layer))
        require(all(np.isfinite(array).all() for array in initial), initial=initial)
        require_same(initial, layer.initial(seed, 0), ("initial once", "initial again"))
        x = case(rows, seed, dtype).x
        done = _run(layer, case(rows, seed, dtype))
        require(len(done.y) == rows, rows_of_y=len(done.y), rows_of_x=rows)
        require(done.dx.shape == x.shape, shape_of_dx=done.dx.shape, shape_of_x=x.shape)
        unwanted = _run(layer, case(rows, seed, dtype), wanted=False)
        require_same(done.grads, unwanted.grads, ("gradients where dx is wanted", "where it is not"))
        before = [np.shape(buffer) for buffer in layer.buffers]
        require([buffer.shape for buffer in done.buffers] == before, new_buffers=done.buffers, shapes_before=before)
        for name, array in (("y", done.y), ("dx", done.dx), *(("buffers", buffer) for buffer in done.buffers)):
            require(array.dtype == dtype, name, dtype=str(array.dtype), dtype_of_x=dtype)

    def purity(rows: int, seed: int) -> None:
        given = case(rows, seed)
        once, again = _run(layer, given), _run(layer, given)
        require_unchanged(copy_leaves(**case(rows, seed)._asdict()), **given._asdict())
        require_same(once.dy, _cotangent(once.y), ("dy afterwards", "before"))
        require_same(once._asdict(), again._asdict(), ("once", "again"))

    def addressed(rows: int, seed: int) -> None:
        require_no_global_randomness(lambda: _run(layer, case(rows, seed)))

    def gradients(rows: int, seed: int) -> None:
        given = case(rows, seed)
        done = _run(layer, given)
        dy = _cotangent(done.y)
        require_gradient(lambda x: np.vdot(dy, _forward(layer, given.vector, x)[0]), given.x, done.dx, name="dx")
        require_gradient(lambda v: np.vdot(dy, _forward(layer, v, given.x)[0]), given.vector, done.grads, name="parameters")

    def independent(rows: int, seed: int) -> None:
        given = case(rows + 1, seed)
        whole = _forward(layer, given.vector, given.x, None)[0]
        for i in range(rows + 1):
            alone = _forward(layer, given.vector, given.x[i : i + 1], None)[0][0]
            require(np.allclose(whole[i], alone, rtol=1e-12, atol=1e-12), f"row {i}", in_the_batch=whole[i], alone=alone)

    CONTRACT.check(contract, max_examples, **_EXAMPLES, dtype=st.sampled_from(["float32", "float64"]))
    GLOBAL.check(addressed, max_examples, **_EXAMPLES)
    PURITY.check(purity, max_examples, **_EXAMPLES)
    ROWS.check(independent, max_examples, **_EXAMPLES)
    GRADIENT.check(gradients, max_examples, **_EXAMPLES)
    if engine is not None:
        data = dataset("mse", 10, inputs=math.prod(shape))
        check_engine(_trainer(layer, shape), evolve(data, x=data.x.reshape(-1, *shape)), engine)


def _trainer(layer: Any, shape: tuple[int, ...]) -> Trainer:
    """A trainer of a network that begins with the layer."""
    rows = Sequential(shape, (layer, Flatten()))
    model = Sequential(shape, (layer, Flatten(), Dense(rows.outputs, 2)))
    return Trainer(model=model, loss=MeanSquaredError(), batch_size=4, optimizer=SGD())


def _sizes(layer: Any) -> list[int]:
    """The number of elements of each of the layer's parameters."""
    return [int(np.prod(extent)) for extent in layer.shapes]


def _draw(n: int, address: int) -> Array:
    return uniform(n, 0, Stream.DROPOUT, 0, address)


def _forward(layer: Layer, vector: Array, x: Array, draw: Draw | None = _draw) -> Forward:
    """Call the layer's `forward`, in training unless `draw` is None."""
    buffers = tuple(np.asarray(buffer, x.dtype) for buffer in layer.buffers)
    return layer.forward(_views(layer, vector), x, Context(buffers, draw, 1))


def _views(layer: Layer, vector: Array) -> Any:
    """Return the layer's record of views into a flat vector."""
    return make_params(layer, [slot.view(vector) for slot in lay_out([layer.shapes])])


def _cotangent(y: Any) -> Array:
    """A fixed dy for a y: no two of its elements are alike."""
    dy: Array = np.cos(np.arange(1.0, y.size + 1)).reshape(y.shape).astype(y.dtype)
    return dy


def _run(layer: Any, case: Case, wanted: bool = True) -> Pass:
    """There and back; what backward does not write is NaN."""
    y, backward, buffers = _forward(layer, case.vector, case.x)
    kept, dy, gradient = y.copy(), _cotangent(y), np.full_like(case.vector, np.nan)
    dx = backward(dy, _views(layer, gradient), wanted)
    return Pass(kept, buffers, dy, gradient, np.array(dx))

"""The laws of layers."""

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
from fnloop.nn.layer import Draw, Forward, checked_forward, make_params, require_layer
from fnloop.optimizers import SGD
from fnloop.testing.catalog import dataset
from fnloop.testing.engine_laws import check_engine
from fnloop.testing.global_randomness import GLOBAL, require_no_global_randomness
from fnloop.testing.gradients import GRADIENT, require_gradient
from fnloop.testing.law import Law
from fnloop.testing.requirements import copy_leaves, require, require_same, require_unchanged
from fnloop.training.trainer import Trainer

CONTRACT = Law(
    "contract",
    "initial must match shapes and be finite; y must have the rows of x, dx its shape, both its dtype; "
    "a layer that draws must have random = True",
)
PURITY = Law("purity", "forward and backward must give the same bits each time, and must not change x, the parameters or dy")
ROWS = Law("independent rows", "outside training, the outputs of a row must not depend on the other rows, up to rounding")

_EXAMPLES = {"rows": st.integers(1, 4), "seed": st.integers(0, 10**6)}


class Case(NamedTuple):
    """Random values of a layer's parameters and inputs.

    Attributes:
        vector: The parameters, (P,).
        x: The inputs, (N, ...).
    """

    vector: Array
    x: Array


class Pass(NamedTuple):
    """The results of a forward and a backward pass.

    Attributes:
        y: The outputs.
        buffers: The new buffers.
        dy: The gradient with respect to y that was passed to `backward`.
        grads: The gradient with respect to the parameters, (P,).
        dx: The gradient with respect to x.
    """

    y: Any
    buffers: Any
    dy: Array
    grads: Array
    dx: Any


def check_layer(
    layer: Layer, inputs: int | tuple[int, ...], *, engine: str | None = None, max_examples: int | None = None
) -> None:
    """Check the laws of a layer: contract, purity, no global random state, independent rows, gradients.

    The gradients that `backward` writes and the dx that it returns are compared with central differences in float64, at
    normally distributed parameters and inputs. `backward` must overwrite `grads`, not add to them.

    Args:
        layer: A `fnloop.nn.Layer` that takes any real values.
        inputs: The shape of an example: D for x of shape (N, D), or a tuple.
        engine: Name of an engine, such as `"jax"`, to check that it agrees with the NumPy engine; by default none.
        max_examples: How many examples to try for each law; by default the number in the Hypothesis profile.

    Raises:
        LawError: If a law does not hold, with its name and the smallest counterexample.
        TypeError: If `layer` is not a layer. The message has the members that it lacks.
        ValueError: If `inputs` or `max_examples` is below 1.

    Examples:
        >>> from fnloop.nn import Dense
        >>> check_layer(Dense(3, 2), 3, max_examples=20)

    See Also:
        `check_gradients`, `fnloop.testing.layers`
    """
    require_layer("layer", layer)
    shape = inputs if isinstance(inputs, tuple) else (integer(1)("inputs", inputs),)

    def make_case(rows: int, seed: int, dtype: str = "float64") -> Case:
        generator = np.random.default_rng(seed)
        vector, x = generator.standard_normal(sum(_sizes(layer))), generator.standard_normal((rows, *shape))
        return Case(vector.astype(dtype), x.astype(dtype))

    def contract(rows: int, seed: int, dtype: str) -> None:
        initial = layer.initial(seed, 0)
        sizes = [np.size(array) for array in initial]
        require(sizes == _sizes(layer), sizes_of_initial=sizes, sizes_of_shapes=_sizes(layer))
        require(all(np.isfinite(array).all() for array in initial), initial=initial)
        require_same(initial, layer.initial(seed, 0), ("initial", "initial again"))
        drawn: list[int] = []

        def draw(n: int, address: int) -> Array:
            drawn.append(n)
            return _draw(n, address)

        _forward(layer, *make_case(rows, seed, dtype), draw)
        require(layer.random or not drawn, random=layer.random, draws=len(drawn))
        x = make_case(rows, seed, dtype).x
        result = _run(layer, make_case(rows, seed, dtype))
        require(len(result.y) == rows, rows_of_y=len(result.y), rows_of_x=rows)
        require(result.dx.shape == x.shape, shape_of_dx=result.dx.shape, shape_of_x=x.shape)
        without_dx = _run(layer, make_case(rows, seed, dtype), need_dx=False)
        require_same(result.grads, without_dx.grads, ("gradients with need_dx=True", "with need_dx=False"))
        shapes = [np.shape(buffer) for buffer in layer.buffers]
        require([buffer.shape for buffer in result.buffers] == shapes, new_buffers=result.buffers, shapes_before=shapes)
        for name, array in (("y", result.y), ("dx", result.dx), *(("buffers", buffer) for buffer in result.buffers)):
            require(array.dtype == dtype, name, dtype=str(array.dtype), dtype_of_x=dtype)

    def purity(rows: int, seed: int) -> None:
        case = make_case(rows, seed)
        first, second = _run(layer, case), _run(layer, case)
        require_unchanged(copy_leaves(**make_case(rows, seed)._asdict()), **case._asdict())
        require_same(_cotangent(first.y), first.dy, ("dy before", "after"))
        require_same(first._asdict(), second._asdict(), ("once", "again"))

    def no_global_randomness(rows: int, seed: int) -> None:
        require_no_global_randomness(lambda: _run(layer, make_case(rows, seed)))

    def gradients(rows: int, seed: int) -> None:
        vector, x = make_case(rows, seed)
        result = _run(layer, Case(vector, x))
        require_gradient(lambda z: np.vdot(result.dy, _forward(layer, vector, z)[0]), x, result.dx, name="dx")
        require_gradient(lambda v: np.vdot(result.dy, _forward(layer, v, x)[0]), vector, result.grads, name="parameters")

    def independent_rows(rows: int, seed: int) -> None:
        vector, x = make_case(rows + 1, seed)
        y = _forward(layer, vector, x, None)[0]
        for i in range(rows + 1):
            alone = _forward(layer, vector, x[i : i + 1], None)[0][0]
            require(np.allclose(y[i], alone, rtol=1e-12, atol=1e-12), f"row {i}", in_the_batch=y[i], alone=alone)

    CONTRACT.check(contract, max_examples, **_EXAMPLES, dtype=st.sampled_from(["float32", "float64"]))
    GLOBAL.check(no_global_randomness, max_examples, **_EXAMPLES)
    PURITY.check(purity, max_examples, **_EXAMPLES)
    ROWS.check(independent_rows, max_examples, **_EXAMPLES)
    GRADIENT.check(gradients, max_examples, **_EXAMPLES)
    if engine is not None:
        data = dataset("mse", 10, inputs=math.prod(shape))
        check_engine(_trainer(layer, shape), evolve(data, x=data.x.reshape(-1, *shape)), engine)


def _trainer(layer: Layer, shape: tuple[int, ...]) -> Trainer:
    """A trainer of a network whose first layer is this one."""
    flat = Sequential(shape, (layer, Flatten()))
    model = Sequential(shape, (layer, Flatten(), Dense(flat.outputs, 2)))
    return Trainer(model=model, loss=MeanSquaredError(), batch_size=4, optimizer=SGD())


def _sizes(layer: Layer) -> list[int]:
    """The number of elements of each parameter array."""
    return [int(np.prod(extents)) for extents in layer.shapes]


def _draw(n: int, address: int) -> Array:
    return uniform(n, 0, Stream.DROPOUT, 0, address)


def _forward(layer: Layer, vector: Array, x: Array, draw: Draw | None = _draw) -> Forward:
    """Call the layer's `forward`, in training unless `draw` is None."""
    buffers = tuple(np.asarray(buffer, x.dtype) for buffer in layer.buffers)
    return checked_forward(layer, _views(layer, vector), x, Context(buffers, draw, 1))


def _views(layer: Layer, vector: Array) -> Any:
    """The layer's record of views into a flat vector."""
    return make_params(layer, [slot.view(vector) for slot in lay_out([layer.shapes])])


def _cotangent(y: Any) -> Array:
    """A fixed dy of the shape of y whose elements all differ."""
    dy: Array = np.cos(np.arange(1.0, y.size + 1)).reshape(y.shape).astype(y.dtype)
    return dy


def _run(layer: Layer, case: Case, need_dx: bool = True) -> Pass:
    """A forward and a backward pass; gradients that `backward` does not write are NaN."""
    y, backward, buffers = _forward(layer, case.vector, case.x)
    y_copy, dy, gradient = y.copy(), _cotangent(y), np.full_like(case.vector, np.nan)
    dx = backward(dy, _views(layer, gradient), need_dx)
    return Pass(y_copy, buffers, dy, gradient, np.array(dx))

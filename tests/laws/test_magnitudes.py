"""Every layer and every optimizer at every magnitude that its dtype can hold, against the same formula in long doubles.

A result has a few rounding errors of the largest value in its array, or is not finite: it is never silently wrong.
Limits beyond which a result is not finite although the dtype could hold it are in the tables below and in the docstrings.
"""

from functools import partial

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import optimizers as opt
from fnloop.core.random import Stream, uniform
from fnloop.engines.jax.hyperparameters import split_numbers
from fnloop.engines.jax.kernel_pass import run_kernels
from fnloop.engines.jax.tracing import with_float64
from fnloop.nn.layer import Context, make_params
from fnloop.optimizers.kernel import StepContext
from tests.models import LAYERS
from tests.strategies import AVERAGING, LAYERED, OPTIMIZERS

DTYPES = ["float32", "float64"] if np.finfo(np.longdouble).maxexp > 1024 else ["float32"]
ROUNDINGS = 128
# The largest |x| whose square, summed over the batch, the dtype holds: beyond it values are NaN.
SQUARES = {"float32": 1e17, "float64": 1e152}
KINDS = ["normal", "ties", "sparse"]
NORMALIZED = {"batch norm", "batch norm of images", "layer norm", "layer norm of series", "residual of a chain"}


def sizes(dtype):
    """Magnitudes of all orders, from the subnormal numbers to the largest one."""
    info = np.finfo(dtype)
    ends = np.log10([float(info.smallest_subnormal), float(info.max) / 1.01])
    return st.floats(*ends).map(lambda exponent: 10.0**exponent) | st.sampled_from(
        [0.0, 1.0, float(info.tiny), float(info.max)]
    )


@st.composite
def values(draw, dtype, kinds=KINDS):
    """A function of a shape that returns values of one magnitude: with ties, and zeros of either sign."""
    size, seed, kind = draw(sizes(dtype)), draw(st.integers(0, 99)), draw(st.sampled_from(kinds))

    def of(shape):
        generator = np.random.default_rng(seed)
        share = generator.uniform(-1, 1, shape)
        if kind == "ties":
            share = np.round(share)
        if kind == "sparse":
            share = np.where(generator.uniform(size=shape) < 0.5, -0.0 * share, share)
        return (share * size).astype(dtype)

    return size, of


def require_close(computed, exact, limited=False, cancelled=0.0):
    """Check agreement where both are finite, and that the result is finite where the dtype holds it with some bits to spare.

    `cancelled` is the size of the terms that cancel in the computation.
    """
    computed, exact = np.asarray(computed), np.asarray(exact)
    info = np.finfo(computed.dtype)
    held = abs(exact) <= float(info.max) / 64
    if not limited and held.all():
        assert np.isfinite(computed).all()
    there = np.isfinite(computed) & held
    largest = max(abs(exact[there]).max(initial=0), cancelled)
    error = abs(computed[there].astype(np.longdouble) - exact[there])
    assert np.all(error <= ROUNDINGS * (float(info.eps) * largest + float(info.tiny)))


def run_layer(name, x, dy_of, dtype, training):
    """Return the outputs of a layer, its new buffers, the gradients of its parameters, and dx."""
    layer, _ = LAYERS[name]
    make = partial(make_params, layer)
    arrays = [array.astype("float32").astype(dtype) for array in layer.initial(1, 0)]
    buffers = tuple(buffer.astype(dtype) for buffer in layer.buffers)
    draw = (lambda n, address: uniform(n, 3, Stream.DROPOUT, 5, address)) if training else None
    with np.errstate(all="ignore"):
        y, backward, buffers = layer.forward(make(arrays), x.astype(dtype), Context(buffers, draw, 7))
        grads = [np.zeros_like(array) for array in arrays]
        dx = backward(dy_of(y.shape).astype(dtype), make(grads), True)
    return [y, *buffers, *grads, dx]


def smallest_root(x):
    """Return the smallest divisor of a normalization, over the batch or over the last axis."""
    x = x.astype(np.longdouble)
    return float(np.sqrt(1e-5 + min(x.var(-1).min(), x.var(tuple(range(x.ndim - 1))).min())))


@pytest.mark.parametrize("name", [name for name in LAYERS if not {"embedding", "activation", "softmax"} & set(name.split())])
@given(st.data(), st.sampled_from(DTYPES), st.booleans())
def test_layers_at_every_magnitude(name, data, dtype, training):
    """Forward and backward; normalizations return NaN where squares of values overflow."""
    largest = float(np.finfo(dtype).max)
    size, x_of = data.draw(values(dtype, ["normal"] if name in NORMALIZED else KINDS))  # a spread, which they divide by
    dy_size, dy_of = data.draw(values(dtype))
    if name in NORMALIZED and 0 < dy_size < 1e8 * float(np.finfo(dtype).tiny):
        return  # a subnormal gradient has few digits, which a product with large values shows
    x = x_of((4, *LAYERS[name][1]))
    limited = name in NORMALIZED and max(size, dy_size, size * dy_size) > SQUARES[dtype]
    ours, exact = (run_layer(name, x, dy_of, kind, training) for kind in (dtype, np.longdouble))
    root = smallest_root(x) if name in NORMALIZED else 1.0
    cancelled = [size / root, *[8 * dy_size * max(size / root, 1.0)] * (len(ours) - 2), dy_size / root * (1 + size / root)]
    limited = limited or max(size, dy_size, size * dy_size) > largest / 1e3  # where sums overflow on the way
    for computed, wanted, lost in zip(ours, exact, cancelled, strict=True):
        require_close(computed, wanted, limited, lost)
    if name.startswith(("layer norm", "batch norm")) and training and size > largest / 10:
        assert not np.any(np.isfinite(ours[0]) & (abs(exact[0]) > 0.1) & (ours[0] == 0))


LAYOUT = fl.mlp([3, 4, 2]).layout
TRANSFORMS = {
    "clip by global norm": opt.clip_by_global_norm(0.5),
    "clip by norm": opt.clip_by_norm(3.0),
    "clip by a tiny norm": opt.clip_by_norm(1e-37),
    "clip by a huge global norm": opt.clip_by_global_norm(3e38),
    "clip by a norm beyond float32": opt.clip_by_global_norm(1e300),
    "clip by value": opt.clip_by_value(0.1),
    "clip by a value beyond float32": opt.clip_by_value(1e300),
    "adaptive clip": opt.adaptive_grad_clip(0.1),
    "trust ratio": opt.scale_by_trust_ratio(),
    "trust ratio with eps": opt.scale_by_trust_ratio(trust_coefficient=0.01, eps=1e-3),
    "centralize": opt.centralize(),
    "decay": opt.add_decayed_weights(0.1),
    "l1": opt.add_l1_penalty(0.1),
}
EVERY = {**TRANSFORMS, **{repr(optimizer): optimizer for optimizer in (*OPTIMIZERS, *LAYERED, *AVERAGING)}}


def run_optimizer(optimizer, gradients, vector, dtype):
    """The direction of each update, and the slots after the last."""
    vector, directions = vector.astype(dtype), []
    state = optimizer.init(vector)
    with np.errstate(all="ignore"):
        for gradient in gradients:
            direction, state = optimizer.update(gradient.astype(dtype), state, vector, lr=0.125, layout=LAYOUT)
            directions.append(direction)
    return np.array(directions), state.slots


@pytest.mark.parametrize("name", EVERY)
@given(st.data(), st.sampled_from(DTYPES))
def test_optimizers_at_every_magnitude(name, data, dtype):
    """Clips and scalings hold for every finite gradient; so do others, or a direction or a slot of theirs is not finite."""
    (size, gradients_of), (vector_size, vector_of) = data.draw(values(dtype)), data.draw(values(dtype))
    kinds = {type(getattr(part, "part", part)).__name__ for part in EVERY[name].parts}
    adds = kinds & {"SlowWeights", "add_decayed_weights"}  # to a direction what may cancel it
    cancelled = size if name in TRANSFORMS else 8 * vector_size if adds else 0.0
    if "ScaleByLion" in kinds and 0 < size < 1e3 * float(np.finfo(dtype).tiny):
        return  # its sign is that of a tenth of the gradient, which rounds to zero among the subnormal numbers
    if {"SGD", "scale_by_trust_ratio"} <= kinds and 0 < size < 1e3 * float(np.finfo(dtype).tiny):
        return  # a momentum of subnormal numbers has few digits, which the ratio scales up
    if dtype == "float32" and size > 1e15 and name.startswith("Adadelta"):
        return  # the quotient of its slots is a subnormal number
    gradients, vector = gradients_of((3, LAYOUT[-1].stop)), vector_of((LAYOUT[-1].stop,))
    directions, slots = run_optimizer(EVERY[name], gradients, vector, dtype)
    exact, _ = run_optimizer(EVERY[name], gradients, vector, np.longdouble)
    if name not in TRANSFORMS and not all(np.isfinite(array).all() for array in (directions, *slots)):
        return  # the engines see that, and say so
    for place in LAYOUT:
        for computed, wanted in zip(directions, exact, strict=True):
            require_close(place.view(computed), place.view(wanted), cancelled=cancelled)


def jitted(transform):
    """Return the pass of a transformation whose numbers are arguments of the compiled function, as the engine has it."""
    kind, numbers = split_numbers(transform, "float32")

    @jax.jit
    def run(numbers, gradient, params):
        parts, context = kind.bind(numbers), StepContext(1, 0.125)
        return run_kernels(parts, LAYOUT, gradient, [], params, context, precomputed=[None])

    def call(gradient, params):
        with with_float64():
            return run(numbers, gradient, params)

    return call


JITTED = {name: jitted(transform) for name, transform in TRANSFORMS.items()}


@pytest.mark.parametrize("name", [name for name in TRANSFORMS if name not in {"decay", "l1"}])
@given(st.data())
def test_clips_and_scalings_at_every_magnitude_under_jax(name, data):
    """As on NumPy, except that XLA flushes subnormal numbers to zero."""
    (size, gradients_of), (_, vector_of) = data.draw(values("float32")), data.draw(values("float32"))
    flat, vector = (np.where(abs(v) < 2e-38, 0, v) for v in (gradients_of(LAYOUT[-1].stop), vector_of(LAYOUT[-1].stop)))
    (exact,), _ = run_optimizer(TRANSFORMS[name], flat[None], vector, np.longdouble)
    direction, _ = JITTED[name](
        gradient=[place.view(flat) for place in LAYOUT], params=[place.view(vector) for place in LAYOUT]
    )
    for place, computed in zip(LAYOUT, direction, strict=True):
        require_close(computed, place.view(exact), cancelled=size)


@pytest.mark.parametrize(
    "name", ["dense", "conv2d same", "max pool 2d padded", "avg pool 1d padded", "global avg pool", "batch norm", "layer norm"]
)
def test_layers_at_every_magnitude_under_jax(name):
    """As on NumPy, with the derivatives of JAX, except that XLA flushes subnormal numbers to zero."""
    layer, shape = LAYERS[name]
    make = partial(make_params, layer)
    buffers = tuple(buffer.astype("float32") for buffer in layer.buffers)
    arrays = [array.astype("float32") for array in layer.initial(1, 0)]

    @jax.jit
    def there_and_back(arrays, x, dy):
        context = Context(buffers, lambda n, address: jax.numpy.zeros(n))
        y, backward = jax.vjp(lambda arrays, x: layer.forward(make(arrays), x, context)[0], arrays, x)
        return y, *backward(dy)

    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, (4, *shape))
    share = generator.uniform(-1, 1, layer.forward(make(arrays), x.astype("float32"), Context(buffers))[0].shape)
    for size, dy_size in ((1e-34, 1.0), (1e-20, 1e-10), (1.0, 1e-37), (1.0, 1e35), (1e16, 1.0), (1e17, 1e17), (1e35, 1.0)):
        here = (x * size).astype("float32")
        dy = (share * dy_size).astype("float32")
        y, grads, dx = there_and_back(arrays, here, dy)
        exact = run_layer(name, here, lambda _, dy=dy: dy, np.longdouble, True)
        root = smallest_root(here) if name in NORMALIZED else 1.0
        limited = name in NORMALIZED and size > SQUARES["float32"]
        require_close(y, exact[0], limited, size / root)
        require_close(dx, exact[-1], limited, dy_size / root * (1 + size / root))
        for computed, wanted in zip(grads, exact[-1 - len(grads) : -1], strict=True):
            require_close(computed, wanted, limited, 8 * dy_size * max(size / root, 1.0))

"""Optimizers equal their formulas, and the pass over memory that applies them changes no bit."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import nth

import fnloop as fl
from fnloop.core.parameters import lay_out
from fnloop.core.records import evolve, frozen
from fnloop.nn.kinds import PARAMETER_NAMES, parameter_names
from fnloop.optimizers import (
    SGD,
    Adam,
    AdamW,
    Elementwise,
    NAdam,
    RMSprop,
    add_decayed_weights,
    add_l1_penalty,
    add_noise,
    chain,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    ema,
    freeze,
    lookahead,
    masked,
    scale_by_layer,
    scheduled,
    swa,
)
from fnloop.optimizers.kernel import StepContext
from fnloop.optimizers.kernel_pass import make_pass
from fnloop.optimizers.nadam import product_of_momentum_factors
from fnloop.optimizers.norms import norm_of
from fnloop.schedulers import ConstantLR
from tests.models import LAYERS, MODELS
from tests.strategies import LAYERED, OPTIMIZERS, dataset


def run(optimizer, gradients, vector, lr=0.01):
    state, path = optimizer.init(vector), []
    for gradient in gradients:
        direction, state = optimizer.update(gradient, state, vector)
        vector = vector - lr * direction
        path.append(vector)
    return np.array(path)


def sgd_loop(gradients, vector, momentum=0.0, nesterov=False, lr=0.01):
    path, vector, m = [], list(vector), [0.0] * len(vector)
    for gradient in gradients:
        for i, g in enumerate(gradient):
            m[i] = momentum * m[i] + g
            vector[i] -= lr * (g + momentum * m[i] if nesterov else m[i])
        path.append(list(vector))
    return np.array(path)


def adam_loop(gradients, vector, b1=0.9, b2=0.999, eps=1e-8, decay=0.0, lr=0.01):
    path, vector = [], list(vector)
    m, v = [0.0] * len(vector), [0.0] * len(vector)
    for t, gradient in enumerate(gradients, start=1):
        for i, g in enumerate(gradient):
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            step = m[i] / (1 - b1**t) / (math.sqrt(v[i] / (1 - b2**t)) + eps)
            vector[i] -= lr * (step + decay * vector[i])
        path.append(list(vector))
    return np.array(path)


def nadam_loop(gradients, vector, b1=0.9, b2=0.999, eps=1e-8, psi=4e-3, lr=0.01):
    path, vector, product = [], list(vector), 1.0
    m, v = [0.0] * len(vector), [0.0] * len(vector)
    for t, gradient in enumerate(gradients, start=1):
        now, after = (b1 * (1 - 0.5 * 0.96 ** (u * psi)) for u in (t, t + 1))
        product *= now
        for i, g in enumerate(gradient):
            m[i] = b1 * m[i] + (1 - b1) * g
            v[i] = b2 * v[i] + (1 - b2) * g * g
            ahead = after * m[i] / (1 - product * after) + (1 - now) * g / (1 - product)
            vector[i] -= lr * ahead / (math.sqrt(v[i] / (1 - b2**t)) + eps)
        path.append(list(vector))
    return np.array(path)


FORMULAS = {
    "sgd": (SGD(), sgd_loop, {}),
    "momentum": (SGD(momentum=0.9), sgd_loop, {"momentum": 0.9}),
    "nesterov": (SGD(momentum=0.7, nesterov=True), sgd_loop, {"momentum": 0.7, "nesterov": True}),
    "adam": (Adam(), adam_loop, {}),
    "adam with other decays": (Adam(b1=0.5, b2=0.9, eps=1e-3), adam_loop, {"b1": 0.5, "b2": 0.9, "eps": 1e-3}),
    "adam without memory": (Adam(b1=0.0, b2=0.0), adam_loop, {"b1": 0.0, "b2": 0.0}),
    "nadam": (NAdam(), nadam_loop, {}),
    "nadam at half its momentum": (NAdam(momentum_decay=0.0), nadam_loop, {"psi": 0.0}),
    "nadam with keras defaults": (NAdam(b1=0.5, momentum_decay=1.0), nadam_loop, {"b1": 0.5, "psi": 1.0}),
    "nadam without momentum": (NAdam(b1=0.0), nadam_loop, {"b1": 0.0}),
    "adamw": (AdamW(weight_decay=0.3), adam_loop, {"decay": 0.3}),
}


@pytest.mark.parametrize("name", FORMULAS)
@given(st.integers(0, 10**6), st.floats(1e-6, 1e6))
def test_optimizers_equal_their_formula_as_a_loop(name, seed, scale):
    """To rounding, over 20 updates."""
    optimizer, loop, parameters = FORMULAS[name]
    draw = np.random.default_rng(seed)
    gradients, vector = draw.standard_normal((20, 5)) * scale, draw.standard_normal(5)
    np.testing.assert_allclose(run(optimizer, gradients, vector), loop(gradients, vector, **parameters), rtol=1e-9, atol=1e-12)


@given(st.sampled_from([0.0, 1e-9, 1e-4, 4e-3, 0.1, 1.0, 1e6]), st.integers(1, 5000))
def test_the_product_of_nadams_momenta_has_a_closed_form(momentum_decay, count):
    """It equals a loop over all earlier updates, for one count and for many at once."""
    counts = np.arange(1, count + 1)
    factors = 1 - np.longdouble(0.96) ** (counts * np.longdouble(momentum_decay)) / 2
    exact = float(np.prod(factors))
    assert product_of_momentum_factors(count, momentum_decay) == pytest.approx(exact, rel=1e-12, abs=1e-290)
    optimizer = NAdam(momentum_decay=momentum_decay)
    many, one = optimizer.scalars(StepContext(counts, 1.0)), optimizer.scalars(StepContext(count, 1.0))
    assert [np.broadcast_to(scalar, counts.shape)[-1] for scalar in many] == pytest.approx(list(one), rel=1e-13)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.booleans(),
    st.integers(1, 50),
    st.sampled_from(["float32", "float64"]),
    st.integers(0, 1000),
)
def test_the_block_size_changes_no_bit(optimizer, width, outputs, layered, block, dtype, seed):
    """Neither of the slots nor of the parameters, with a layout and without."""
    draw, model = np.random.default_rng(seed), fl.mlp([3, width, outputs])
    size, layout = model.size, model.layout if layered else ()
    gradient, vector = (draw.standard_normal(size).astype(dtype) for _ in range(2))
    state = optimizer.init(vector)

    def result(block):
        slots, params = [slot.copy() for slot in state.slots], vector.copy()
        move = lambda array, factor, gradient, params: np.subtract(params, factor * array, out=params)  # noqa: E731
        make_pass(optimizer.parts, gradient.copy(), slots, params, layout, block)(3, 0.1, move)
        return params, slots

    assert fl.same_bits(result(block), result(size))


@pytest.mark.parametrize("optimizer", [optimizer for optimizer in OPTIMIZERS + LAYERED if optimizer.keeps_non_finite])
@given(st.integers(1, 9), st.integers(0, 9), st.integers(0, 15), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_non_finite_gradient_leaves_a_slot_non_finite(optimizer, steps, step, at, bad):
    """In any layer, and whatever gradients follow."""
    model = fl.mlp([2, 3, 1])
    gradients = np.random.default_rng(step).standard_normal((steps, model.size), dtype=np.float32)
    gradients[step % steps, at % model.size] = bad
    vector, state = np.ones_like(gradients[0]), optimizer.init(gradients[0])
    with np.errstate(all="ignore"):
        for gradient in gradients:
            direction, state = optimizer.update(gradient, state, vector, layout=model.layout)
            vector = vector - np.float32(0.01) * direction
    assert not all(np.isfinite(slot).all() for slot in state.slots)


@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(1e-30, 1e30), st.sampled_from(["float32", "float64"]))
def test_clipping_limits_the_norm_and_keeps_the_direction(seed, bound, scale, dtype):
    """A gradient within the bound keeps its bits."""
    gradient = (np.random.default_rng(seed).standard_normal(7) * scale).astype(dtype)
    clipped, _ = clip_by_global_norm(bound).update(gradient, clip_by_global_norm(bound).init(gradient), gradient)
    norm = float(np.linalg.norm(gradient.astype(np.float64)))
    if norm <= bound * (1 - 1e-6):
        assert fl.same_bits(clipped, gradient)
    assert np.linalg.norm(clipped.astype(np.float64)) <= bound * (1 + 1e-6)
    np.testing.assert_allclose(clipped, gradient * min(1.0, bound / norm), rtol=1e-5)


def test_clipping_keeps_zeros_and_non_finite_values():
    """A zero gradient stays zero; NaN and infinity do not become finite."""
    clip = clip_by_global_norm(1.0)
    zero = np.zeros(3)
    assert fl.same_bits(clip.update(zero, clip.init(zero), zero)[0], zero)
    with np.errstate(all="ignore"):
        for bad in (np.nan, np.inf, -np.inf):
            gradient = np.array([1.0, bad, 0.0])
            assert not np.isfinite(clip.update(gradient, clip.init(zero), zero)[0]).all()
    for size in (3e38, 1e-40, 1.0, 0.0):
        norm = norm_of(np.full(4, size, np.float32))
        assert float(norm.peak) * float(norm.ratio) == pytest.approx(2 * size, rel=1e-3)


def test_a_kernel_owns_its_gradient():
    """A slot that is also the direction is not overwritten by the next kernel: momentum before RMSprop."""
    draw = np.random.default_rng(0)
    gradients, vector = draw.standard_normal((9, 4)), draw.standard_normal(4)
    optimizer, momentum, rmsprop = chain(SGD(momentum=0.9), RMSprop()), SGD(momentum=0.9), RMSprop()
    state, first, second = optimizer.init(vector), momentum.init(vector), rmsprop.init(vector)
    for gradient in gradients:
        direction, state = optimizer.update(gradient, state, vector)
        half, first = momentum.update(gradient, first, vector)
        whole, second = rmsprop.update(half, second, vector)
        assert fl.same_bits(direction, whole)
        assert fl.same_bits(state.slots, first.slots + second.slots)


def test_a_chain_applies_its_parts_in_order():
    """A chain of one equals its part; a clip after a decay sees the decayed gradient; chains nest."""
    draw = np.random.default_rng(0)
    gradients, vector = draw.standard_normal((5, 4)), draw.standard_normal(4)
    assert fl.same_bits(run(chain(Adam()), gradients, vector), run(Adam(), gradients, vector))
    assert fl.same_bits(run(chain(), gradients, vector), run(SGD(), gradients, vector))
    nested = chain(chain(clip_by_global_norm(0.5), Adam()), add_decayed_weights(0.1))
    flat = chain(clip_by_global_norm(0.5), Adam(), add_decayed_weights(0.1))
    assert fl.same_bits(run(nested, gradients, vector), run(flat, gradients, vector))
    decayed = gradients[0] + 2.0 * vector
    optimizer = chain(add_decayed_weights(2.0), clip_by_global_norm(0.5))
    direction, _ = optimizer.update(gradients[0], optimizer.init(vector), vector)
    np.testing.assert_allclose(direction, decayed * 0.5 / np.linalg.norm(decayed), rtol=1e-12)


@frozen
class LastGradient(Elementwise):
    """Move by the previous gradient; return the arguments themselves."""

    slots = ("previous",)

    def kernel(self, gradient, slots, params, scalars):
        return slots[0].copy(), (gradient,)


def test_a_custom_kernel_owns_its_slots():
    """A slot that is the gradient argument is a copy of the caller's array, and `update` changes no argument."""
    gradient, vector = np.arange(3.0), np.ones(3)
    state = LastGradient().init(vector)
    direction, after = LastGradient().update(gradient, state, vector)
    gradient[:] = 7
    assert after.slots[0].tolist() == [0, 1, 2]
    assert direction.tolist() == [0, 0, 0] == state.slots[0].tolist()
    assert after.count == 1
    assert not after.slots[0].flags.writeable


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_update_is_pure(optimizer):
    """A repeated call gives the same bits, and no argument changes."""
    gradient, vector = np.arange(1.0, 4.0), np.ones(3)
    state = optimizer.init(vector)
    before = fl.digest((gradient, vector, state))
    first, second = (optimizer.update(gradient, state, vector) for _ in range(2))
    assert fl.same_bits(first, second)
    assert fl.digest((gradient, vector, state)) == before


def test_scheduled_hyperparameters_have_their_value_at_the_update():
    """A constant schedule changes nothing; with another one, each update uses its value."""
    draw = np.random.default_rng(0)
    gradients, vector = draw.standard_normal((12, 4)), draw.standard_normal(4)
    constant = scheduled(AdamW(), b1=lambda t: 0.9, weight_decay=ConstantLR(0.01))
    np.testing.assert_allclose(run(constant, gradients, vector), run(AdamW(), gradients, vector), rtol=1e-14)
    rates = (0.5, 0.0, 0.9, 0.3)
    changing = scheduled(SGD(momentum=0.9), momentum=lambda t: rates[t % 4])
    state, m = changing.init(vector), np.zeros(4)
    for t, gradient in enumerate(gradients):
        direction, state = changing.update(gradient, state, vector)
        m = rates[t % 4] * m + gradient
        np.testing.assert_allclose(direction, m, rtol=1e-14)


def test_scheduled_hyperparameters_keep_float32():
    """The float64 values of a schedule widen no array."""
    vector = np.ones(3, np.float32)
    optimizer = scheduled(AdamW(), b1=lambda t: np.float64(0.9), weight_decay=ConstantLR(0.1))
    direction, state = optimizer.update(vector, optimizer.init(vector), vector)
    assert {direction.dtype, *(slot.dtype for slot in state.slots)} == {np.dtype("float32")}


def test_penalties_and_clip_by_value_equal_their_formulas():
    """Element by element; NaN stays NaN."""
    gradient, vector = np.array([3.0, -0.2, 0.0, -4.0]), np.array([2.0, 0.0, -1.0, -0.5])
    direction_of = lambda part: part.update(gradient, part.init(vector), vector)[0].tolist()  # noqa: E731
    assert direction_of(clip_by_value(1.5)) == [1.5, -0.2, 0.0, -1.5]
    assert direction_of(add_l1_penalty(0.5)) == [3.5, -0.2, -0.5, -4.5]
    assert math.isnan(clip_by_value(1.0).update(np.array([np.nan]), clip_by_value(1.0).init(vector[:1]), vector[:1])[0][0])


def trained(optimizer, epochs=3, **changes):
    model = fl.mlp([3, 4, 5, 1])
    options = {"model": model, "loss": fl.losses.BinaryCrossEntropy(), "optimizer": optimizer, "batch_size": 5, **changes}
    trainer = fl.Trainer(**options)
    return trainer, nth(epochs, fl.epochs(trainer, dataset("binary", 17)))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_trainer_with_any_optimizer_can_be_saved(optimizer, tmp_path):
    """Trainer and state are loaded to the bit, and training continues as if it had not been interrupted."""
    trainer, state = trained(optimizer, 2)
    fl.save(state, tmp_path / "state.npz", trainer=trainer)
    loaded = fl.load_checkpoint(tmp_path / "state.npz")
    assert fl.same_bits(loaded.trainer, trainer)
    continued = nth(1, fl.epochs(loaded.trainer, dataset("binary", 17), start=loaded.state))
    assert fl.same_bits(continued, trained(optimizer)[1])


@given(st.sets(st.integers(0, 2)), st.integers(0, 9))
def test_frozen_layers_keep_their_bits(layers, seed):
    """All other layers change."""
    trainer, state = trained(chain(AdamW(weight_decay=0.1), freeze(*layers)), seed=seed)
    before = fl.init_state(trainer)
    for i, (old, new) in enumerate(zip(before.params.layers, state.params.layers, strict=True)):
        assert fl.same_bits(tuple(old), tuple(new)) == (i in layers)


def test_the_direction_of_a_frozen_layer_is_zero():
    """A parameter of -0.0 keeps its sign, and a NaN in the gradient has no effect."""
    vector, gradient = np.array([-0.0, 0.0, 1.0]), np.array([-1.0, np.nan, np.inf])
    direction, _ = freeze(0).update(gradient, freeze(0).init(vector), vector)
    assert fl.same_bits(direction, np.zeros(3))
    assert fl.same_bits(vector - 0.1 * direction, vector)


def test_learning_rates_and_masks_by_layer():
    """A factor scales the direction; a mask leaves the gradient and the slots of other layers unchanged."""
    layout = fl.mlp([3, 4, 1]).layout
    first = slice(layout[0].start, layout[1].stop)
    draw = np.random.default_rng(0)
    gradient, vector = draw.standard_normal(layout[-1].stop), draw.standard_normal(layout[-1].stop)
    update = lambda o: o.update(gradient, o.init(vector), vector, layout=layout)  # noqa: E731
    whole, _ = update(Adam())
    for factors in ({0: 0.25}, [0.25, 1.0]):
        scaled, _ = update(chain(Adam(), scale_by_layer(factors)))
        assert fl.same_bits(scaled[first], 0.25 * whole[first])
        assert fl.same_bits(scaled[first.stop :], whole[first.stop :])
    some, state = update(masked(Adam(), [0]))
    assert fl.same_bits(some[first], whole[first])
    assert fl.same_bits(some[first.stop :], gradient[first.stop :])
    assert all(slot[first].any() and not slot[first.stop :].any() for slot in state.slots)


def test_decay_can_exclude_biases_and_normalizations():
    """By kind of parameter, at any depth of nested layers: only weights and vectors decay."""
    model = MODELS["deep"](3, 2)
    assert [place.kind for place in model.layout[:4]] == ["weights", "biases", "scale", "shift"]
    draw = np.random.default_rng(0)
    gradient, vector = draw.standard_normal(model.size), draw.standard_normal(model.size)
    optimizer = chain(Adam(), masked(add_decayed_weights(0.3), kinds=["weights", "vectors"]))
    plain, _ = Adam().update(gradient, Adam().init(vector), vector)
    direction, _ = optimizer.update(gradient, optimizer.init(vector), vector, layout=model.layout)
    for place in model.layout:
        decay = 0.3 * place.view(vector) if place.kind == "weights" else 0.0
        np.testing.assert_allclose(place.view(direction), place.view(plain) + decay, rtol=1e-14)
    both = masked(add_decayed_weights(0.3), [0], kinds=["biases"])
    moved = both.update(gradient, both.init(vector), vector, layout=model.layout)[0] != gradient
    assert [i for i, place in enumerate(model.layout) if place.view(moved).any()] == [1]


def test_every_array_has_a_kind():
    """In every layer, and in one whose record is a mapping or has no names."""
    kinds = {kind for layer, _ in LAYERS.values() for kind in parameter_names(layer)}
    assert kinds == set(PARAMETER_NAMES)
    for shapes, params, expected in (
        (((2,), (3, 1)), lambda arrays: {"gain": arrays[1], "offset": arrays[0]}, ("offset", "gain")),
        (((2,), (2,)), tuple, ("", "")),
        (((2,),), lambda arrays: [arrays[0] * 1], ("",)),
    ):
        assert parameter_names(SimpleNamespace(shapes=shapes, params=params)) == expected


def test_lookahead_does_not_synchronize_at_a_rate_of_zero():
    """At the next synchronization with a larger rate, fast and slow parameters are equal."""
    optimizer, vector = lookahead(SGD(), k=2), np.array([1.0, 2.0])
    state = optimizer.init(vector)
    for lr in (0.1, 0.0, 0.0, 0.1):
        direction, state = optimizer.update(np.ones(2), state, vector, lr=lr)
        assert np.isfinite(direction).all()
        vector = vector - lr * direction
        if lr == 0.0:
            assert vector.tolist() == [0.9, 1.9]
            assert state.slots[0].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(vector, [0.9, 1.9])  # halfway from 1 to 0.8
    np.testing.assert_allclose(vector, state.slots[0])


def test_averages_equal_their_formulas():
    """Each kind equals the weighted mean of the parameters, and changes no update."""
    draw = np.random.default_rng(0)
    gradients, vector = draw.standard_normal((20, 3)), draw.standard_normal(3)
    plain = run(SGD(momentum=0.9), gradients, vector)

    def average_of(average):
        optimizer, params = chain(SGD(momentum=0.9), average), vector
        state = optimizer.init(vector)
        for gradient, after in zip(gradients, plain, strict=True):
            direction, state = optimizer.update(gradient, state, params, lr=0.01)
            params = params - 0.01 * direction
            assert fl.same_bits(params, after)
        assert state.has_average
        return state.slots[-1]

    weights = 0.8 ** np.arange(20)[::-1]
    np.testing.assert_allclose(average_of(ema(0.8, debias=True)), weights @ plain / weights.sum(), rtol=1e-12)
    weights[1:] *= 0.2
    np.testing.assert_allclose(average_of(ema(0.8)), weights @ plain, rtol=1e-12)
    np.testing.assert_allclose(average_of(swa(start=4, every=6)), plain[[3, 9, 15]].mean(0), rtol=1e-12)
    assert fl.same_bits(average_of(swa(start=21)), plain[-1])


def test_an_averaged_state_can_be_used_like_any_other(tmp_path):
    """It can be evaluated, saved and trained; only parameters and metrics differ from the state."""
    trainer, state = trained(chain(Adam(), ema(0.8)))
    averaged = fl.averaged(state)
    assert fl.same_bits(averaged.params.vector, state.optimizer.slots[-1])
    assert not fl.same_bits(averaged.params, state.params)
    assert fl.same_bits(averaged.optimizer, state.optimizer)
    data = dataset("binary", 17)
    assert fl.evaluate(trainer, averaged, data) != fl.evaluate(trainer, state, data)
    assert fl.predict(trainer, averaged, data.x).shape == (17,)
    fl.save(averaged, tmp_path / "averaged.npz")
    assert fl.same_bits(fl.load(tmp_path / "averaged.npz"), averaged)
    assert nth(1, fl.epochs(trainer, data, start=averaged)).epoch == 4


@given(st.integers(0, 2**64 - 1), st.integers(1, 500))
def test_noise_depends_on_seed_update_and_array_alone(seed, count):
    """A repeated update draws the same noise, with the variance of the formula; other updates and arrays draw other noise."""
    layout = lay_out([((200, 400),), ((200, 400),)])
    vector, part = np.zeros(layout[-1].stop), add_noise(eta=0.3, gamma=0.7, seed=seed)
    state = evolve(part.init(vector), count=count - 1)
    noise, after = part.update(vector, state, vector, layout=layout)
    assert fl.same_bits(noise, part.update(vector, state, vector, layout=layout)[0])
    assert noise.var() == pytest.approx(0.3 / count**0.7, rel=0.03)
    assert abs(noise.mean()) < 6 * noise.std() / noise.size**0.5
    one, other = (slot.view(noise) for slot in layout)
    later = part.update(vector, after, vector, layout=layout)[0]
    for a, b in ((one, other), (noise, later)):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02


def test_masked_noise_equals_noise():
    """Also for arrays larger than a block."""
    layout = lay_out([((100, 700),)])
    vector = np.ones(layout[-1].stop)
    part = masked(add_noise(eta=0.1), [0])
    noisy, _ = part.update(vector, part.init(vector), vector, layout=layout)
    plain, _ = add_noise(eta=0.1).update(vector, part.init(vector), vector, layout=layout)
    assert fl.same_bits(noisy, plain)


def test_a_scheduled_average_is_an_average():
    """Its state has `has_average`."""
    part = chain(SGD(), fl.optimizers.scheduled(ema(0.9), decay=lambda t: 0.5))
    assert part.init(np.ones(3)).has_average


def test_norms_of_a_model_without_parameters():
    """An empty array has no largest element; a step works all the same."""
    trainer = fl.Trainer(model=fl.nn.Sequential(2, []), loss=fl.losses.MeanSquaredError(), optimizer=fl.optimizers.LAMB())
    assert fl.make_step(trainer)(fl.init_state(trainer), fl.Batch(np.ones((3, 2)), np.ones((3, 2)))).step == 1


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        (AdamW(weight_decay=0.1), "AdamW(b1=0.9, b2=0.999, eps=1e-08, weight_decay=0.1)"),
        (
            chain(clip_by_global_norm(1.0), SGD()),
            "chain(clip_by_global_norm(max_norm=1.0), SGD(momentum=0.0, nesterov=False))",
        ),
        (lookahead(SGD(), k=3), "lookahead(optimizer=SGD(momentum=0.0, nesterov=False), k=3, alpha=0.5)"),
        (freeze(0, 2), "freeze(0, 2)"),
        (scale_by_layer([0.5, 1.0]), "scale_by_layer({0: 0.5, 1: 1.0})"),
        (
            scheduled(ema(0.9), decay=ConstantLR(0.5)),
            "scheduled(ema(decay=0.9, debias=False), decay=ConstantLR(initial_lr=0.5))",
        ),
        (
            masked(clip_by_value(1.0), [1]),
            "masked(transformation=clip_by_value(max_value=1.0), layers=(1,), kinds=None)",
        ),
    ],
    ids=repr,
)
def test_records_print_as_they_were_called(optimizer, text):
    """Whether a class or a function returns them; a printed call gives the same record again."""
    assert repr(optimizer) == text
    assert fl.same_bits(eval(text, {**vars(fl.optimizers), "ConstantLR": ConstantLR}), optimizer)


@pytest.mark.parametrize(
    "call",
    [
        lambda: add_noise(0.1),
        lambda: ema(0.9, 0.1),
        lambda: swa(100),
        lambda: clip_by_norm(1.0, 0.1),
        lambda: lookahead(SGD(), 0.1),
        lambda: masked(SGD(), [0], 0.1),
    ],
)
def test_a_number_for_a_transformation_is_not_taken_for_a_learning_rate(call):
    """The error says what the transformation takes; only an optimizer's points to the scheduler."""
    with pytest.raises(TypeError, match="by position, got") as error:
        call()
    assert "learning rate" not in str(error.value)
    with pytest.raises(TypeError, match="the learning rate belongs to the scheduler"):
        Adam(0.1)


def test_a_field_of_adamw_can_be_replaced():
    """By its path in the trainer; slots of equal parts are kept."""
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss="bce", optimizer=AdamW())
    changed = trainer.replace(**{"optimizer.weight_decay": 0.1})
    assert changed.optimizer == AdamW(weight_decay=0.1)
    assert [type(part) for part in changed.optimizer.parts] == [Adam, add_decayed_weights]


def test_a_state_prints_the_names_of_its_slots():
    """Each with the part that it belongs to, masked or not."""
    optimizer = chain(masked(Adam(), [0]), SGD(momentum=0.9), ema())
    expected = "OptimizerState(count=0, slots=('Adam.mu', 'Adam.nu', 'SGD.mu', 'ema.average'))"
    assert repr(optimizer.init(np.ones(3))) == expected


def test_a_kernel_must_be_defined():
    """The error has the class and the arguments."""
    optimizer = fl.frozen(type("Nothing", (fl.optimizers.Elementwise,), {}))()
    with pytest.raises(NotImplementedError, match=r"Nothing must define kernel\(gradient, slots, params, scalars\)"):
        optimizer.update(np.zeros(2), optimizer.init(np.zeros(2)), np.zeros(2))

"""The optimizers of a population as one: their kernels on (K, P) have the bits of each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop.core.columns import ColumnError, column
from fnloop.core.digest import same_bits
from fnloop.optimizers import SGD, Adam, AdamW, Lion, RMSprop, chain, clip_by_global_norm
from fnloop.optimizers.combining import combine
from fnloop.optimizers.kernel_pass import make_pass, write_direction
from fnloop.testing import catalog
from tests.populations.members import with_other_floats

OPTIMIZERS = st.sampled_from(catalog.OPTIMIZERS + catalog.AVERAGING)


def run(parts, gradient, slots, params, count, lr):
    direction, slots = gradient.copy(), [slot.copy() for slot in slots]
    make_pass(parts, direction, slots, params, block=max(1, params.size))(count, lr, write_direction)
    return direction, slots


@given(st.data(), OPTIMIZERS, st.integers(2, 5), st.integers(1, 100), st.sampled_from(["float32", "float64"]))
def test_the_combined_kernels_have_the_bits_of_each_member(data, optimizer, k, count, dtype):
    optimizers = [with_other_floats(optimizer, data.draw) for _ in range(k)]
    parts = combine(optimizers)
    if parts is None:
        return
    generator = np.random.default_rng(k)
    gradient, params = (generator.normal(size=(k, 6)).astype(dtype) for _ in range(2))
    slots = [np.stack([slot + 0.01 * j for j in range(k)]).astype(dtype) for slot in optimizers[0].init(params[0]).slots]
    rates = [0.1 * (1 + j % 2) for j in range(k)]
    try:
        direction, new = run(parts, gradient, slots, params, count, column(rates))
    except ColumnError:
        return
    for j, member in enumerate(optimizers):
        solo, solo_slots = run(member.parts, gradient[j], [slot[j] for slot in slots], params[j], count, rates[j])
        assert same_bits(direction[j], solo)
        assert same_bits([slot[j] for slot in new], solo_slots)


@pytest.mark.parametrize(
    "optimizers",
    [
        [Adam(), SGD()],
        [SGD(momentum=0.9), SGD()],
        [SGD(momentum=0.9), SGD(momentum=0.9, nesterov=True)],
        [chain(Adam(), Lion()), Adam()],
        [chain(clip_by_global_norm(1.0), Adam())] * 2,
        [RMSprop(), RMSprop(centered=True)],
        [catalog.OPTIMIZERS[-1]] * 2,
    ],
)
def test_optimizers_that_differ_in_more_than_floats_or_depend_on_values_have_no_combination(optimizers):
    assert combine(optimizers) is None


def test_equal_hyperparameters_stay_numbers():
    parts = combine([AdamW(weight_decay=0.1), AdamW(weight_decay=0.2)])
    assert parts is not None
    assert parts[0].b1 == 0.9
    assert parts[1].weight_decay.values == [0.1, 0.2]


@fl.frozen
class Thresholded(fl.optimizers.Elementwise):
    """A custom optimizer with a branch on a hyperparameter, and a power of an array."""

    power: float = 2.0

    def kernel(self, gradient, slots, params, scalars):
        return (gradient if self.power > 2 else gradient**self.power), ()


@pytest.mark.parametrize("powers", [(1.0, 3.0), (1.5, 2.0)])
def test_members_that_a_kernel_treats_in_different_ways_are_computed_alone(powers):
    data = fl.datasets.lab()
    base = fl.Trainer(model=fl.mlp([10, 1]), loss="bce", optimizer=Thresholded(), scheduler=0.1)
    members = fl.grid(base, power=powers)
    for trainer, fit in zip(members, fl.sweep(members, data.train, epochs=1, progress=False), strict=True):
        assert same_bits(fit.last, fl.fit(trainer, data.train, epochs=1, progress=False).last)

"""Which parts take an axis of members, and products and copies along it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import losses, metrics, nn
from fnloop.core.digest import same_bits
from fnloop.core.stacking import can_stack, product, repeated
from fnloop.testing import catalog


@fl.frozen
class OtherForward(nn.Dense):
    def forward(self, params, x, context):
        return super().forward(params, x, context)


@fl.frozen
class OtherRho(losses.Huber):
    def rho(self, error):
        return super().rho(error)


@fl.frozen
class OtherSums(metrics.Accuracy):
    def sums(self, outputs, targets):
        return super().sums(outputs, targets)


@fl.frozen
class OtherInitial(nn.Dense):
    def initial(self, seed, address):
        return tuple(array * 2 for array in super().initial(seed, address))


@fl.frozen
class SaysSo(nn.Dense):
    stacks = True

    def forward(self, params, x, context):
        return super().forward(params, x, context)


class Duck:
    def forward(self, params, x, context):
        raise NotImplementedError


def test_a_part_stacks_if_it_says_so():
    assert all(map(can_stack, (nn.Dense(2, 3), losses.Huber(), metrics.Accuracy(), nn.mlp([2, 3, 1]))))
    assert not any(map(can_stack, (losses.FromFunction(max), metrics.Mean(max), Duck())))


def test_a_subclass_that_defines_its_computation_anew_has_to_say_so_anew():
    assert not any(map(can_stack, (OtherForward(2, 3), OtherRho(), OtherSums())))
    assert all(map(can_stack, (OtherInitial(2, 3), SaysSo(2, 3))))


def test_a_chain_stacks_if_all_of_its_layers_do():
    assert can_stack(nn.Sequential(2, [nn.Residual(nn.Sequential(2, [nn.Dense(2, 2)]))]))
    assert not can_stack(nn.Sequential(2, [nn.Residual(nn.Sequential(2, [OtherForward(2, 2)]))]))


@given(st.integers(1, 5), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.sampled_from(["float32", "float64"]))
def test_a_product_has_the_bits_of_each_members_product(k, m, n, p, dtype):
    generator = np.random.default_rng([k, m, n, p])
    a, b, c = (generator.normal(size=(k, *shape)).astype(dtype) for shape in ((m, n), (n, p), (p, n)))
    cases = [(a, b), (a, c.mT), (c.mT.copy().mT, b), (b.mT, a.mT)]
    cases += [(np.broadcast_to(a[:, :1], a.shape), b), (a[..., ::2], b[:, ::2]), (a, np.broadcast_to(b[..., :1], b.shape))]
    for left, right in cases:
        assert same_bits(product(left, right), np.stack([x.dot(y) for x, y in zip(left, right, strict=True)]))
        out = np.empty((k, left.shape[1], right.shape[2]), dtype)
        assert same_bits(product(left, right, out), product(left, right))
    vector = generator.normal(size=n).astype(dtype)
    assert same_bits(product(a, vector), np.stack([x.dot(vector) for x in a]))


def test_an_array_is_repeated_in_memory_of_its_own():
    result = repeated(np.arange(6).reshape(2, 3), 3)
    assert result.shape == (3, 2, 3)
    assert result.flags.c_contiguous
    assert (result + 1).flags.c_contiguous


@pytest.mark.parametrize("name", catalog.LAYERS)
def test_every_layer_takes_an_axis_of_members(name):
    """A layer that lost `stacks`, for example because its base class states it, would only be slow."""
    assert can_stack(catalog.LAYERS[name].layer)

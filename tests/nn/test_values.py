"""The number of values of a step, by which the size of a group is chosen."""

import pytest

from fnloop import nn
from fnloop.nn.values import values_of
from tests.models import LAYERS


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (nn.Sequential(3, [nn.Dense(3, 5)]), 4 * (3 + 5)),
        (nn.Sequential((9, 2), [nn.Conv1d(2, 5, 3)]), 4 * (18 + 7 * 5) + 2 * 7 * 3 * 2),
        (nn.Sequential((8, 8, 1), [nn.Conv2d(1, 6, 3)]), 4 * (64 + 36 * 6) + 2 * 36 * 9),
        (nn.Sequential((6, 6, 2), [nn.MaxPool2d(3)]), 4 * (72 + 2 * 2 * 2) + 2 * 72),
        (nn.Sequential(4, [nn.Residual(nn.Sequential(4, [nn.Dense(4, 4)]))]), 4 * (4 + 4 + 4)),
        (nn.Sequential((7,), [nn.Embedding(1000, 3)]), 4 * (7 + 21)),
    ],
)
def test_values_are_those_of_inputs_outputs_and_windows(model, values):
    assert values_of(model) == values


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_can_be_estimated(name):
    layer, inputs = LAYERS[name]
    model = nn.Sequential(inputs, [layer])
    assert values_of(nn.Sequential(inputs, [model])) == values_of(model) > 0

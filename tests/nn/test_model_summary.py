"""`fl.summary` lists every layer, with the shape of its output and the number of its parameters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnloop as fl
from fnloop import nn
from fnloop.testing.catalog import LAYERS
from fnloop.testing.strategies import layers


def counted(rows):
    return sum(row.parameters for row in rows if row.depth == 0)


@given(st.lists(layers(inputs=4, max_outputs=4), max_size=4))
def test_the_summary_agrees_with_the_model(parts):
    """For any chain of layers, shapes are those of the outputs, and parameters add up to those of the model."""
    keeping = [part for part in parts if nn.Sequential(4, [part]).shape == (4,)]
    model = nn.Sequential(4, [nn.Residual(nn.Sequential(4, keeping)), *keeping, nn.Dense(4, 2)])
    told = fl.summary(model)
    assert counted(told.rows) == told.parameters == model.size == model.init(0).vector.size
    assert told.rows[-1].shape == model.shape
    own = [row for row in told.rows if row.depth == 0]
    assert len(own) == len(model.layers)
    for i, row in enumerate(own):
        assert row.shape == nn.Sequential(4, model.layers[: i + 1]).shape
    inner = [row for row in told.rows if row.depth == 2]
    assert len(inner) == len(keeping)
    assert sum(row.parameters for row in inner) == told.rows[0].parameters == told.rows[1].parameters


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_has_a_row(name):
    """For every layer of the package, parameters and buffers are counted."""
    layer, inputs = LAYERS[name][:2]
    model = nn.Sequential(np.shape(inputs)[1:] if hasattr(inputs, "shape") else inputs, [layer])
    told = fl.summary(model)
    assert (told.parameters, told.rows[0].shape) == (model.size, model.shape)
    assert told.buffers == sum(buffer.size for buffer in model.buffers)


def test_the_table_is_aligned():
    """The text and HTML have the same rows and total; nested layers are indented."""
    told = fl.summary(nn.Sequential((8, 8, 1), [nn.Residual(nn.BatchNorm(1)), nn.Flatten(), nn.Dense(64, 100)]))
    lines = str(told).splitlines()
    assert repr(told) == str(told)
    assert lines[0].split() == ["layer", "output", "shape", "parameters"]
    assert lines[2].split("(")[0].strip() == "inputs"
    assert lines[4].startswith("  BatchNorm(1)")
    assert lines[-1] == "6,502 parameters, 2 numbers in buffers"
    assert "6,500" in lines[-3]
    assert "BatchNorm(1)" in told._repr_html_()


def test_summaries_of_a_function_and_a_trainer():
    """A function has one row; the summary of a trainer is that of its model."""
    own = nn.Function(3, lambda seed: np.zeros(4), lambda vector, x: (x @ vector[:3])[:, None], lambda f: f)
    assert [(row.layer, row.parameters) for row in fl.summary(own).rows] == [("Function", 4)]
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy())
    assert fl.same_bits(fl.summary(trainer), fl.summary(trainer.model))


@pytest.mark.parametrize("value", [None, 3, "mlp", nn.Dense(3, 1), nn.Sequential, fl.mlp])
def test_a_value_that_is_not_a_model_raises(value):
    """The error names what is allowed."""
    with pytest.raises(TypeError, match="model must be a model"):
        fl.summary(value)

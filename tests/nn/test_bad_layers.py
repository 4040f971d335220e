"""Invalid arguments of layers, models and data sets raise at the call that received them, with name and value."""

import autograd
import numpy as np
import pytest

import fnloop as fl
from fnloop import nn
from fnloop.optimizers import Adam, chain, ema, masked, scheduled

X, Y = np.zeros((4, 3)), np.zeros(4)
MSE = fl.losses.MeanSquaredError()
IMAGES = nn.Sequential((4, 4, 1), [nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Dense(8, 1)])
WORDS = nn.Sequential(3, [nn.Embedding(5, 2), nn.Flatten(), nn.Dense(6, 1)])


def evaluate(model, x):
    trainer = fl.Trainer(model=model, loss=MSE)
    return fl.evaluate(trainer, fl.init_state(trainer), fl.Dataset(x, Y))


def function(**changes):
    options = {
        "initial": lambda seed: np.zeros(3),
        "apply": lambda v, x: (x @ v)[:, None],
        "value_and_grad": autograd.value_and_grad,
    }
    return nn.Function(3, **{**options, **changes})


def layer_of(forward, **members):
    """A layer with this `forward`."""
    return type("Custom", (nn.Layer,), {"forward": forward, "__repr__": lambda self: "Custom()", **members})()


def no_backward(dy, grads, need_dx):
    return None


class Partial:
    """A class that has some members of a layer, and does not inherit the others."""

    shapes = ()

    def forward(self, params, x, context):
        return x, no_backward, ()


class HidesRandomness(nn.Dense):
    """Draws, but inherits `random = False` from a layer that does not."""

    def forward(self, params, x, context):
        if context.draw is not None:
            context.draw(1, context.address)
        return nn.Dense.forward(self, params, x, context)


FLAT_WORDS = nn.Sequential((1, 3), [nn.Flatten(), nn.Embedding(5, 2), nn.Flatten(), nn.Dense(6, 1)])
RESIDUAL_WORDS = nn.Sequential(3, [nn.Residual(nn.Sequential(3, [nn.Embedding(5, 1), nn.Flatten()])), nn.Dense(3, 1)])
TABLE = [
    (lambda: evaluate(RESIDUAL_WORDS, X + 5), ValueError, ["data", "[0, 5)", "5.0"]),
    (lambda: evaluate(FLAT_WORDS, X[:, None] - 1), ValueError, ["data", "[0, 5)", "-1.0"]),
    (
        lambda: nn.Sequential(3, [layer_of(lambda self, params, x: (x, no_backward))]),
        TypeError,
        ["layers[0], Custom(): forward must take (params, x, context), got (params, x)"],
    ),
    (
        lambda: nn.Residual(layer_of(lambda self, x: (x, no_backward, ()))),
        TypeError,
        ["layer, Custom(): forward must take (params, x, context), got (x)"],
    ),
    (
        lambda: nn.Sequential(3, [nn.Dense(3, 3), layer_of(lambda self, params, x, context: x)]),
        TypeError,
        ["layers[1]: forward of Custom() must return (y, backward, buffers), got <ndarray"],
    ),
    (
        lambda: nn.Sequential(3, [layer_of(lambda self, params, x, context: (x, no_backward))]),
        TypeError,
        ["layers[0]: forward of Custom() must return (y, backward, buffers), got 2 values"],
    ),
    (
        lambda: nn.Sequential(3, [nn.Residual(layer_of(lambda self, params, x, context: (x, no_backward)))]),
        TypeError,
        ["layers[0]: forward of Custom() must return (y, backward, buffers), got 2 values"],
    ),
    (
        lambda: nn.Sequential(3, [layer_of(lambda self, params, x, context: (x.tolist(), no_backward, ()))]),
        TypeError,
        ["layers[0]: forward of Custom() must return an array as its first value, got [["],
    ),
    (
        lambda: nn.Sequential(3, [layer_of(lambda self, params, x, context: (x, None, ()))]),
        TypeError,
        ["layers[0]: forward of Custom() must return a function as its second value, got None"],
    ),
    (
        lambda: nn.Sequential(3, [layer_of(lambda self, params, x, context: (x, no_backward, (x,)))]),
        TypeError,
        ["layers[0]: forward of Custom() must return a tuple of 0 buffers as its third value"],
    ),
    (
        lambda: nn.Sequential(3, [layer_of(lambda self, params, x, context: (x, no_backward, ()), buffers=(np.zeros(3),))]),
        TypeError,
        ["layers[0]: forward of Custom() must return a tuple of 1 buffers as its third value, got ()"],
    ),
    (
        lambda: nn.Sequential(3, [Partial()]),
        TypeError,
        ["layers[0] must be a layer", "it has no params, buffers, random, initial, ... (5 in all); inherit from Layer"],
    ),
    (
        lambda: fl.fit(
            fl.Trainer(model=nn.Sequential(3, [HidesRandomness(3, 1)]), loss=MSE), fl.Dataset(X, Y), epochs=1, progress=False
        ),
        TypeError,
        ["a layer draws random numbers although its `random` is False"],
    ),
    (lambda: nn.Sequential(3, ["relu"]), TypeError, ["layers[0] must be a layer", "'relu'; write fl.nn.Activation('relu')"]),
    (
        lambda: fl.losses.SoftmaxCrossEntropy(class_weights={0: 1.0, 1: 5.0}),
        TypeError,
        ["class_weights", "sequence", "{0: 1.0"],
    ),
    (lambda: fl.losses.SoftmaxCrossEntropy(class_weights={1.0, 5.0}), TypeError, ["class_weights", "sequence"]),
    (lambda: fl.load(1), TypeError, ["path", "1"]),
    (lambda: fl.load(None), TypeError, ["path", "None"]),
    (lambda: fl.load("x.npz", records=[3]), TypeError, ["records", "[3]"]),
    (lambda: fl.load("x.npz", records=Partial), TypeError, ["records", "Partial"]),
    (lambda: chain(scheduled(ema(0.9), decay=lambda t: 0.5), Adam()), ValueError, ["last"]),
    (lambda: masked(scheduled(ema(0.9), decay=lambda t: 0.5), [0]), ValueError, ["transformation", "layer by layer"]),
    (lambda: nn.Dense(0, 1), ValueError, ["inputs", "at least 1", "0"]),
    (lambda: nn.Dense(2, 1, init="xavier"), ValueError, ["init", "'glorot_uniform'", "'orthogonal'", "'xavier'"]),
    (lambda: nn.Activation("mish"), ValueError, ["name", "'relu'", "'softmax'", "'mish'"]),
    (lambda: fl.mlp([3, 1], "mish"), ValueError, ["activation", "'gelu'", "'mish'"]),
    (lambda: nn.Conv1d(1, 1, 0), ValueError, ["kernel_size", "at least 1", "0"]),
    (lambda: nn.Conv1d(1, 1, (2, 2)), ValueError, ["kernel_size", "1 of them", "(2, 2)"]),
    (lambda: nn.Conv2d(1, 1, (2, 2, 2)), ValueError, ["kernel_size", "2 of them", "(2, 2, 2)"]),
    (lambda: nn.Conv2d(1, 1, "3"), TypeError, ["kernel_size", "'3'"]),
    (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, ["stride", "at least 1", "0"]),
    (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, ["padding", "at least 0", "-1"]),
    (lambda: nn.Conv2d(0, 1, 3), ValueError, ["inputs", "at least 1", "0"]),
    (lambda: nn.Conv2d(1, 1.5, 3), TypeError, ["outputs", "1.5"]),
    (lambda: nn.MaxPool1d(0), ValueError, ["kernel_size", "at least 1", "0"]),
    (lambda: nn.MaxPool2d(2, stride=0), ValueError, ["stride", "at least 1", "0"]),
    (lambda: nn.AvgPool1d(1.0), TypeError, ["kernel_size", "1.0"]),
    (lambda: nn.AvgPool2d(()), ValueError, ["kernel_size", "()"]),
    (lambda: nn.Reshape((2, 0)), ValueError, ["shape[1]", "at least 1", "0"]),
    (lambda: nn.Dropout(1.0), ValueError, ["rate", "[0, 1)", "1.0"]),
    (lambda: nn.Dropout(float("nan")), ValueError, ["rate", "[0, 1)", "nan"]),
    (lambda: nn.BatchNorm(0), ValueError, ["features", "at least 1", "0"]),
    (lambda: nn.BatchNorm(3, momentum=0.0), ValueError, ["momentum", "(0, 1]", "0.0"]),
    (lambda: nn.BatchNorm(3, eps=0.0), ValueError, ["eps", "(0, inf)", "0.0"]),
    (lambda: nn.LayerNorm(3, eps=-1.0), ValueError, ["eps", "(0, inf)", "-1.0"]),
    (lambda: nn.Embedding(0, 3), ValueError, ["inputs", "at least 1", "0"]),
    (lambda: nn.Embedding(3, 0), ValueError, ["outputs", "at least 1", "0"]),
    (lambda: nn.Residual(nn.Dense), TypeError, ["layer must be a layer", "call it: Dense(...)"]),
    (lambda: nn.Sequential(0, []), ValueError, ["inputs", "at least 1", "0"]),
    (lambda: nn.Sequential((), []), ValueError, ["inputs", "()"]),
    (lambda: nn.Sequential(3, nn.Dense(3, 1)), TypeError, ["layers", "sequence", "Dense"]),
    (
        lambda: nn.Sequential(3, [nn.Dense(3, 1), nn.Flatten]),
        TypeError,
        ["layers[1] must be", "call it: Flatten(...)"],
    ),
    (lambda: nn.Sequential(3, [nn.Dense(3, 2), nn.Dense(3, 1)]), ValueError, ["layers[1]", "Dense(inputs=3", "(N, 2)"]),
    (lambda: nn.Sequential((4, 4), [nn.Dense(4, 2)]), ValueError, ["layers[0]", "(N, 4, 4)", "Flatten"]),
    (lambda: nn.Sequential((4, 4, 2), [nn.Conv2d(1, 2, 3)]), ValueError, ["layers[0]", "(N, any, any, 1)", "(N, 4, 4, 2)"]),
    (lambda: nn.Sequential((4, 2), [nn.Conv1d(2, 2, 5)]), ValueError, ["layers[0]", "(5,)", "(4,)", "larger"]),
    (lambda: nn.Sequential((2, 2, 1), [nn.MaxPool2d(3)]), ValueError, ["layers[0]", "(3, 3)", "(2, 2)", "larger"]),
    (lambda: nn.Sequential(4, [nn.MaxPool1d(2)]), ValueError, ["layers[0]", "(N, any, any)", "(N, 4)"]),
    (lambda: nn.Sequential(4, [nn.GlobalAvgPool()]), ValueError, ["layers[0]", "(N, ..., any, any)", "(N, 4)"]),
    (lambda: nn.Sequential(4, [nn.BatchNorm(3)]), ValueError, ["layers[0]", "(N, ..., 3)", "(N, 4)"]),
    (lambda: nn.Sequential((2, 4), [nn.LayerNorm(2)]), ValueError, ["layers[0]", "(N, ..., 2)", "(N, 2, 4)"]),
    (lambda: nn.Sequential(4, [nn.Reshape((3, 2))]), ValueError, ["layers[0]", "Reshape", "(N, 4)"]),
    (lambda: nn.Sequential(4, [nn.Residual(nn.Dense(4, 3))]), ValueError, ["layers[0]", "keep the shape", "(4,)", "(3,)"]),
    (
        lambda: fl.Trainer(model=nn.Sequential((4, 4, 1), [nn.Conv2d(1, 2, 3)]), loss=MSE),
        ValueError,
        ["model", "(N, K)", "(N, 2, 2, 2)"],
    ),
    (lambda: evaluate(IMAGES, X), ValueError, ["data", "(N, 4, 4, 1)", "(4, 3)"]),
    (lambda: evaluate(WORDS, X + 5), ValueError, ["data", "[0, 5)", "Embedding", "5.0"]),
    (lambda: evaluate(WORDS, X - 1), ValueError, ["data", "[0, 5)", "-1.0"]),
    (lambda: evaluate(WORDS, X + 0.5), ValueError, ["data", "whole numbers", "0.5"]),
    (lambda: function(apply=3), TypeError, ["apply", "function", "3"]),
    (lambda: function(value_and_grad=None), TypeError, ["value_and_grad", "function", "None"]),
    (lambda: function(initial=lambda seed: np.zeros((3, 1))), ValueError, ["initial", "(P,)", "(3, 1)"]),
    (lambda: function(apply=lambda v, x: x @ v), ValueError, ["apply", "(N, K)", "(2,)"]),
    (lambda: fl.Dataset(np.zeros((4,) + (1,) * 5), Y), ValueError, ["x", "5-dimensional", "(4, 1, 1, 1, 1, 1)"]),
    (lambda: fl.Dataset(X, Y, np.ones(3)), ValueError, ["weights", "4 examples", "3"]),
    (lambda: fl.Dataset(X, Y, np.ones((4, 1))), ValueError, ["weights", "1-dimensional", "(4, 1)"]),
    (lambda: fl.Dataset(X, Y, np.array([1.0, 2.0, -0.5, 0.0])), ValueError, ["weights", "at least 0", "-0.5"]),
    (lambda: fl.Dataset(X, Y, np.array([1.0, np.nan, 1.0, 1.0])), ValueError, ["weights", "finite", "nan", "[1]"]),
]


@pytest.mark.parametrize(("call", "error", "parts"), TABLE)
def test_invalid_arguments_raise(call, error, parts):
    """The message holds all parts."""
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value), f"{part!r} not in {caught.value}"


def test_the_shape_is_found_without_a_warning_about_values():
    """The trial of a model is of zeros, of which a layer may take the logarithm."""
    logarithm = layer_of(lambda self, params, x, context: (np.log(x), no_backward, ()))
    with np.errstate(all="raise"):
        assert nn.Sequential(3, [logarithm]).shape == (3,)


def test_a_layer_must_define_forward():
    """Everything else has a default."""
    with pytest.raises(TypeError, match=r"abstract method '?forward"):
        type("Custom", (nn.Layer,), {})()


def test_a_model_must_define_five_members():
    """Everything else has a default."""
    with pytest.raises(TypeError, match=r"abstract methods '?forward'?, '?init'?, '?inputs'?, '?shape'?, '?size"):
        type("Custom", (nn.Model,), {})()


@pytest.mark.parametrize(("initial", "got"), [((), r"\[\]"), ((np.ones(3),), r"\[\(3,\)\]"), ((np.ones(2),) * 2, "got")])
def test_initial_parameters_have_the_sizes_of_the_shapes(initial, got):
    """Else those of the layers after it would move; the error has the layer."""
    layer = layer_of(
        lambda self, params, x, context: (x * params[0], no_backward, ()),
        shapes=((4,),),
        initial=lambda self, seed, address: initial,
    )
    model = nn.Sequential(4, [layer, nn.Dense(4, 1)])
    with pytest.raises(ValueError, match=rf"layers\[0\], Custom\(\): initial must return arrays of the shapes .*{got}"):
        model.init(0)

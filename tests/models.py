"""Layers of every kind, each with the shape of an example that it takes; and models of them for examples of three values."""

import numpy as np

from fnloop import nn

LAYERS = {
    "dense": (nn.Dense(3, 4), (3,)),
    **{f"activation {name}": (nn.Activation(name), (5,)) for name in nn.ACTIVATIONS},
    "softmax over channels": (nn.Activation("softmax"), (4, 3)),
    "conv1d": (nn.Conv1d(2, 3, 3), (7, 2)),
    "conv1d strided": (nn.Conv1d(2, 3, 2, stride=3, padding=1), (7, 2)),
    "conv2d": (nn.Conv2d(2, 3, 3, padding=1), (5, 4, 2)),
    "conv2d strided": (nn.Conv2d(1, 2, (3, 2), stride=(2, 1), padding=2), (6, 5, 1)),
    "max pool 1d": (nn.MaxPool1d(2), (7, 3)),
    "max pool 2d overlapping": (nn.MaxPool2d(3, stride=2), (7, 6, 2)),
    "avg pool 1d": (nn.AvgPool1d(3, stride=1), (5, 2)),
    "avg pool 2d": (nn.AvgPool2d((2, 3)), (5, 6, 2)),
    "global avg pool": (nn.GlobalAvgPool(), (4, 3, 2)),
    "flatten": (nn.Flatten(), (3, 2)),
    "reshape": (nn.Reshape((3, 2)), (6,)),
    "dropout": (nn.Dropout(0.4), (6, 2)),
    "no dropout": (nn.Dropout(0.0), (6,)),
    "batch norm": (nn.BatchNorm(3), (3,)),
    "batch norm of images": (nn.BatchNorm(2, momentum=0.3, eps=0.1), (3, 4, 2)),
    "layer norm": (nn.LayerNorm(4), (4,)),
    "layer norm of series": (nn.LayerNorm(3), (5, 3)),
    "embedding": (nn.Embedding(5, 3), (4,)),
    "residual": (nn.Residual(nn.Dense(3, 3)), (3,)),
    "residual of a chain": (
        nn.Residual(
            nn.Sequential(4, [nn.BatchNorm(4), nn.Dense(4, 6), nn.Activation("tanh"), nn.Dropout(0.3), nn.Dense(6, 4)])
        ),
        (4,),
    ),
}


def convolutional(outputs):
    return nn.Sequential(
        3,
        [
            nn.Reshape((3, 1)),
            nn.Conv1d(1, 4, 2, padding=1),
            nn.Activation("relu"),
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Dense(8, outputs),
        ],
    )


def image(outputs):
    return nn.Sequential(
        3,
        [
            nn.Dense(3, 16),
            nn.Reshape((4, 4, 1)),
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            nn.BatchNorm(3),
            nn.Activation("gelu"),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dense(3, outputs),
        ],
    )


def regularised(outputs):
    return nn.Sequential(3, [nn.Dense(3, 6), nn.BatchNorm(6), nn.Activation("silu"), nn.Dropout(0.3), nn.Dense(6, outputs)])


def deep(outputs):
    block = nn.Sequential(
        5, [nn.LayerNorm(5), nn.Dense(5, 7, "lecun_normal"), nn.Activation("elu"), nn.Dropout(0.2), nn.Dense(7, 5)]
    )
    return nn.Sequential(3, [nn.Dense(3, 5, "orthogonal"), nn.Residual(block), nn.Residual(block), nn.Dense(5, outputs)])


MODELS = {"convolutional": convolutional, "image": image, "regularised": regularised, "deep": deep}


def examples(name, rows, seed, dtype="float64"):
    """Examples for a layer of the table."""
    layer, shape = LAYERS[name]
    draw = np.random.default_rng(seed)
    if isinstance(layer, nn.Embedding):
        return draw.integers(0, layer.inputs, (rows, *shape)).astype(dtype)
    return draw.standard_normal((rows, *shape)).astype(dtype)

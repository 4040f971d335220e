"""What there is: an example of each part of a run, on which laws are tried. A new part gets a row here."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fnloop.data import Dataset
from fnloop.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fnloop.nn import Activation, Dense, Layer
from fnloop.optimizers import SGD, Adam, AdamW, Elementwise, add_decayed_weights, chain, clip_by_global_norm
from fnloop.schedulers import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    InverseTimeLR,
    ReduceLROnPlateau,
    Scheduler,
    StepLR,
    times,
    warmup,
)
from fnloop.typing import Array

INPUTS = 3

# Each kind of problem: its loss, and the model's outputs.
LOSSES: dict[str, tuple[Loss, int]] = {
    "binary": (BinaryCrossEntropy(), 1),
    "softmax": (SoftmaxCrossEntropy(), 3),
    "mse": (MeanSquaredError(), 2),
}
# Targets for a kind of problem, from a generator and the examples.
TARGETS: dict[str, Callable[[np.random.Generator, Array], Array]] = {
    "binary": lambda generator, x: (x[:, 0] > 0).astype(np.int64),
    "softmax": lambda generator, x: generator.integers(0, 3, len(x)),
    "mse": lambda generator, x: generator.standard_normal((len(x), 2)),
}
ACTIVATIONS = ("relu", "sigmoid", "tanh", "identity")
# Layers for x of shape (N, INPUTS).
LAYERS: tuple[Layer, ...] = (
    Dense(INPUTS, 2),
    Dense(INPUTS, 1, "he_uniform"),
    *(Activation(name) for name in ACTIVATIONS),
)
OPTIMIZERS: tuple[Elementwise, ...] = (
    SGD(),
    SGD(momentum=0.9),
    SGD(momentum=0.8, nesterov=True),
    Adam(),
    AdamW(weight_decay=0.1),
    chain(clip_by_global_norm(0.1), Adam()),
    chain(add_decayed_weights(0.1), clip_by_global_norm(0.1), SGD(0.9)),
)
SCHEDULERS: tuple[Scheduler, ...] = (
    ConstantLR(0.05),
    StepLR(0.05, step_size=2, gamma=0.5),
    ExponentialLR(0.05, gamma=0.9),
    CosineAnnealingLR(0.05, T_max=3),
    warmup(times(CyclicLR(0.05, 0.1, 2, 3), InverseTimeLR(1.0)), 2, 0.5),
)
PLATEAU = ReduceLROnPlateau(0.05, metric="loss", patience=1, min_delta=0.05)


def dataset(kind: str, rows: int, seed: int = 0, inputs: int = INPUTS) -> Dataset:
    """Examples with targets for a kind of problem, a pure function of the arguments: x is (rows, inputs)."""
    generator: Any = np.random.default_rng(seed)
    x = generator.standard_normal((rows, inputs))
    return Dataset(x, TARGETS[kind](generator, x))

"""The catalog: examples of every part of a run, to which all laws are applied. A new part gets a line in this file."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fnloop import nn
from fnloop.data.dataset import Dataset
from fnloop.losses import (
    BinaryCrossEntropy,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    Pinball,
    SoftmaxCrossEntropy,
)
from fnloop.metrics import Metric, TopKAccuracy
from fnloop.nn import Layer
from fnloop.optimizers import (
    LAMB,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Elementwise,
    Lion,
    NAdam,
    RAdam,
    RMSprop,
    Rprop,
    adaptive_grad_clip,
    add_decayed_weights,
    add_l1_penalty,
    add_l2_penalty,
    add_noise,
    centralize,
    chain,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    ema,
    freeze,
    lookahead,
    masked,
    scale_by_layer,
    scale_by_trust_ratio,
    scheduled,
    swa,
)
from fnloop.schedulers import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    InverseSqrtLR,
    InverseTimeLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PiecewiseLR,
    PolynomialLR,
    ReduceLROnPlateau,
    Scheduler,
    StepLR,
    WarmupStableDecayLR,
    clamp,
    join,
    repeat,
    times,
    warmup,
)

INPUTS = 3


def block(width: int, norm: Layer) -> nn.Sequential:
    """Return a chain of layers with as many outputs as inputs, for a residual.

    Args:
        width: The number of inputs and outputs.
        norm: The normalization, which is the first layer.
    """
    inner = nn.Dense(width, 7, init="lecun_normal"), nn.Activation("elu"), nn.Dropout(0.2), nn.Dense(7, width)
    return nn.Sequential(width, (norm, *inner))


class Problem(NamedTuple):
    """A loss, and the number of outputs of a model for it."""

    loss: Loss
    outputs: int


class LayerExample(NamedTuple):
    """A layer, and the shape of an example that it takes."""

    layer: Layer
    inputs: tuple[int, ...]


LOSSES: dict[str, Problem] = {
    "binary": Problem(BinaryCrossEntropy(), 1),
    "softmax": Problem(SoftmaxCrossEntropy(), 3),
    "mse": Problem(MeanSquaredError(), 2),
    "binary weighted": Problem(BinaryCrossEntropy(label_smoothing=0.1, class_weights=(0.5, 2.0)), 1),
    "labels": Problem(BinaryCrossEntropy(label_smoothing=0.1, class_weights=((0.5, 2.0), (1.0, 0.0), (3.0, 1.0))), 3),
    "softmax weighted": Problem(SoftmaxCrossEntropy(label_smoothing=0.1, class_weights=(0.5, 2.0, 1.0)), 3),
    "binary focal": Problem(Focal(class_weights=(0.75, 0.25)), 1),
    "softmax focal": Problem(Focal(gamma=0.5), 3),
    "binary hinge": Problem(Hinge(), 1),
    "hinge": Problem(Hinge(), 3),
    "kl": Problem(KLDivergence(), 3),
    "mae": Problem(MeanAbsoluteError(), 2),
    "huber": Problem(Huber(0.7), 2),
    "log cosh": Problem(LogCosh(), 1),
    "pinball": Problem(Pinball(0.3), 2),
    "quantiles": Problem(Pinball((0.2, 0.5, 0.9)), 3),
}
# All metrics that are summed over batches, for each kind of loss.
METRICS: dict[str, tuple[str | Metric, ...]] = {
    "classes": ("accuracy", TopKAccuracy(1), TopKAccuracy(2), "precision", "recall", "f1", "balanced_accuracy", "log_loss"),
    "two classes": ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "log_loss"),
    "scores": ("accuracy", "precision", "recall", "f1", "balanced_accuracy"),
    "multilabel": ("accuracy", "subset_accuracy", "precision", "recall", "f1", "balanced_accuracy", "log_loss"),
    "regression": ("r2", "mae", "rmse"),
    "quantiles": (),
}
LAYERS: dict[str, LayerExample] = {
    "dense": LayerExample(nn.Dense(3, 4), (3,)),
    "dense without bias": LayerExample(nn.Dense(3, 4, bias=False), (3,)),
    **{f"activation {name}": LayerExample(nn.Activation(name), (5,)) for name in nn.ACTIVATIONS},
    "softmax over channels": LayerExample(nn.Activation("softmax"), (4, 3)),
    "conv1d": LayerExample(nn.Conv1d(2, 3, 3), (7, 2)),
    "conv1d strided": LayerExample(nn.Conv1d(2, 3, 2, stride=3, padding=1), (7, 2)),
    "conv2d": LayerExample(nn.Conv2d(2, 3, 3, padding=1), (5, 4, 2)),
    "conv2d strided": LayerExample(nn.Conv2d(1, 2, (3, 2), stride=(2, 1), padding=2), (6, 5, 1)),
    "conv1d same": LayerExample(nn.Conv1d(2, 3, 4, stride=2, padding="same", bias=False), (7, 2)),
    "conv2d same": LayerExample(nn.Conv2d(2, 2, (2, 3), padding="same"), (4, 3, 2)),
    "max pool 1d same": LayerExample(nn.MaxPool1d(3, stride=2, padding="same"), (6, 2)),
    "max pool 2d padded": LayerExample(nn.MaxPool2d((2, 3), stride=2, padding=1), (5, 4, 2)),
    "avg pool 1d padded": LayerExample(nn.AvgPool1d(4, padding=2), (7, 2)),
    "avg pool 2d same": LayerExample(nn.AvgPool2d(2, padding="same"), (5, 3, 2)),
    "max pool 1d": LayerExample(nn.MaxPool1d(2), (7, 3)),
    "max pool 2d overlapping": LayerExample(nn.MaxPool2d(3, stride=2), (7, 6, 2)),
    "avg pool 1d": LayerExample(nn.AvgPool1d(3, stride=1), (5, 2)),
    "avg pool 2d": LayerExample(nn.AvgPool2d((2, 3)), (5, 6, 2)),
    "global avg pool": LayerExample(nn.GlobalAvgPool(), (4, 3, 2)),
    "flatten": LayerExample(nn.Flatten(), (3, 2)),
    "reshape": LayerExample(nn.Reshape((3, 2)), (6,)),
    "dropout": LayerExample(nn.Dropout(0.4), (6, 2)),
    "no dropout": LayerExample(nn.Dropout(0.0), (6,)),
    "batch norm": LayerExample(nn.BatchNorm(3), (3,)),
    "batch norm of images": LayerExample(nn.BatchNorm(2, momentum=0.3, eps=0.1), (3, 4, 2)),
    "layer norm": LayerExample(nn.LayerNorm(4), (4,)),
    "layer norm of series": LayerExample(nn.LayerNorm(3), (5, 3)),
    "embedding": LayerExample(nn.Embedding(5, 3), (4,)),
    "residual": LayerExample(nn.Residual(nn.Dense(3, 3)), (3,)),
    "residual of a chain": LayerExample(nn.Residual(block(4, nn.BatchNorm(4))), (4,)),
}
# Functions that make a network for a number of inputs and outputs.
MODELS: dict[str, Callable[[int, int], nn.Sequential]] = {
    "convolutional": lambda inputs, outputs: nn.Sequential(
        inputs,
        (
            nn.Reshape((inputs, 1)),
            nn.Conv1d(1, 4, 2, padding=1),
            nn.Activation("relu"),
            nn.MaxPool1d(2),
            nn.Flatten(),
            nn.Dense((inputs + 1) // 2 * 4, outputs),
        ),
    ),
    "image": lambda inputs, outputs: nn.Sequential(
        inputs,
        (
            nn.Dense(inputs, 16),
            nn.Reshape((4, 4, 1)),
            nn.Conv2d(1, 3, 3, stride=2, padding=1),
            nn.BatchNorm(3),
            nn.Activation("gelu"),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Dense(3, outputs),
        ),
    ),
    "regularised": lambda inputs, outputs: nn.Sequential(
        inputs,
        (nn.Dense(inputs, 6), nn.BatchNorm(6), nn.Activation("silu"), nn.Dropout(0.3), nn.Dense(6, outputs)),
    ),
    "deep": lambda inputs, outputs: nn.Sequential(
        inputs,
        (
            nn.Dense(inputs, 5, init="orthogonal"),
            *(nn.Residual(block(5, nn.LayerNorm(5))) for _ in range(2)),
            nn.Dense(5, outputs),
        ),
    ),
}
OPTIMIZERS: tuple[Elementwise, ...] = (
    SGD(),
    SGD(momentum=0.9),
    SGD(momentum=0.8, nesterov=True),
    Adam(),
    AdamW(weight_decay=0.1),
    chain(clip_by_global_norm(0.1), Adam()),
    chain(add_decayed_weights(0.1), clip_by_global_norm(0.1), SGD(momentum=0.9)),
    Adamax(),
    AMSGrad(b2=0.9),
    NAdam(),
    RAdam(),
    RMSprop(),
    RMSprop(alpha=0.9, eps=1e-3, momentum=0.5, centered=True),
    Adagrad(initial_accumulator_value=0.1),
    Adadelta(),
    Rprop(),
    Lion(),
    chain(clip_by_value(0.1), add_l1_penalty(0.01), add_l2_penalty(0.01), SGD(momentum=0.9)),
    scheduled(SGD(momentum=0.9), momentum=LinearLR(0.9, total_iters=30, start_factor=0.5, end_factor=1.0)),
    scheduled(
        AdamW(),
        b1=LinearLR(0.9, total_iters=30, start_factor=0.5, end_factor=1.0),
        weight_decay=CosineAnnealingLR(0.1, T_max=30),
    ),
    LAMB(weight_decay=0.1),
    chain(add_decayed_weights(0.1), clip_by_norm(0.5), adaptive_grad_clip(0.3), centralize(), SGD(momentum=0.9)),
    chain(masked(scheduled(Adam(), b1=ExponentialLR(0.9, gamma=0.99)), [0]), scale_by_layer({0: 0.3}), SGD(momentum=0.9)),
    chain(SGD(momentum=0.9), scale_by_trust_ratio(trust_coefficient=0.01)),
    lookahead(SGD(momentum=0.9), k=3),
    chain(add_noise(eta=0.01, seed=2**63), SGD(momentum=0.9)),
    chain(Adam(), freeze(0)),
)
# An average must be last in a chain.
AVERAGING: tuple[Elementwise, ...] = (chain(SGD(momentum=0.9), ema(0.9, debias=True)), chain(Adam(), swa(start=5, every=3)))
SCHEDULERS: tuple[Scheduler, ...] = (
    ConstantLR(0.05),
    StepLR(0.05, step_size=2, gamma=0.5),
    ExponentialLR(0.05, gamma=0.9),
    CosineAnnealingLR(0.05, T_max=3),
    MultiStepLR(0.05, milestones=(1, 4), gamma=0.5),
    InverseTimeLR(0.05, decay_rate=0.3),
    InverseSqrtLR(0.05, timescale=3),
    LinearLR(0.05, total_iters=6, start_factor=1.0, end_factor=0.1),
    PolynomialLR(0.05, 6, power=2.0),
    CosineAnnealingWarmRestarts(0.05, 2, T_mult=2, eta_min=0.001),
    CyclicLR(0.01, 0.05, step_size_up=2, step_size_down=3, mode="triangular2"),
    OneCycleLR(0.05, 8),
    WarmupStableDecayLR(0.05, 2, 3, 4),
    PiecewiseLR((0, 3, 6), (0.01, 0.05, 0.02)),
    join([ConstantLR(0.05), repeat(ExponentialLR(0.05, gamma=0.5), 3)], [2]),
    clamp(LinearLR(0.05, total_iters=6, start_factor=1.0, end_factor=0.1), 0.01, 0.03),
    warmup(times(CyclicLR(0.05, 0.1, step_size_up=2, step_size_down=3), InverseTimeLR(1.0)), 2, start_factor=0.5),
)
PLATEAU = ReduceLROnPlateau(0.05, metric="loss", patience=1, min_delta=0.05)


def metrics_of(kind: str) -> tuple[str | Metric, ...]:
    """Return all metrics for a kind of problem.

    Args:
        kind: A key of `LOSSES`.
    """
    loss, outputs = LOSSES[kind]
    task = str(loss.task(outputs))
    if task != "classification":
        return METRICS[task]
    return METRICS["scores" if isinstance(loss, Hinge) else "two classes" if outputs == 1 else "classes"]


def dataset(kind: str, rows: int, seed: int = 0, inputs: int = INPUTS) -> Dataset:
    """Return a dataset for a kind of problem: a pure function of the arguments.

    Args:
        kind: A key of `LOSSES`.
        rows: The number of examples.
        seed: Seed of the random values.
        inputs: The number of features.

    Examples:
        >>> dataset("softmax", 5)
        Dataset(x=(5, 3) float64, y=(5,) int64, 5 examples)
    """
    generator, (loss, outputs) = np.random.default_rng(seed), LOSSES[kind]
    x = generator.standard_normal((rows, inputs))
    if kind == "kl":
        return Dataset(x, generator.dirichlet(np.full(outputs, 0.5), rows))
    task = loss.task(outputs)
    if task == "multilabel":
        return Dataset(x, generator.integers(0, 2, (rows, outputs)))
    if task == "quantiles":
        return Dataset(x, generator.standard_normal(rows))
    if task == "regression":
        return Dataset(x, generator.standard_normal((rows, outputs)))
    return Dataset(x, (x[:, 0] > 0).astype(np.int64) if outputs == 1 else generator.integers(0, outputs, rows))

"""What the laws are tried on: trainers and data of every kind there is, and histories of a metric."""

import numpy as np
from hypothesis import strategies as st

import fnloop as fl

INPUTS = 3
NEVER = st.none()
BASIC = {  # a loss, and the outputs of its model
    "binary": (fl.losses.BinaryCrossEntropy(), 1),
    "softmax": (fl.losses.SoftmaxCrossEntropy(), 3),
    "mse": (fl.losses.MeanSquaredError(), 2),
}
LOSSES = {
    **BASIC,
    "binary weighted": (fl.losses.BinaryCrossEntropy(0.1, (0.5, 2.0)), 1),
    "softmax weighted": (fl.losses.SoftmaxCrossEntropy(0.1, (0.5, 2.0, 1.0)), 3),
    "binary focal": (fl.losses.Focal(class_weights=(0.75, 0.25)), 1),
    "softmax focal": (fl.losses.Focal(0.5), 3),
    "binary hinge": (fl.losses.Hinge(), 1),
    "hinge": (fl.losses.Hinge(), 3),
    "kl": (fl.losses.KLDivergence(), 3),
    "mae": (fl.losses.MeanAbsoluteError(), 2),
    "huber": (fl.losses.Huber(0.7), 2),
    "log cosh": (fl.losses.LogCosh(), 1),
}
METRICS = {  # all that suit a loss
    "classification": ("accuracy", fl.metrics.TopKAccuracy(1), fl.metrics.TopKAccuracy(2), "precision", "recall", "f1"),
    "two classes": ("accuracy", "precision", "recall", "f1"),
    "regression": ("r2", "mae"),
}
ACTIVATIONS = ("relu", "sigmoid", "tanh", "identity")
OPTIMIZERS = (
    fl.optimizers.SGD(),
    fl.optimizers.SGD(momentum=0.9),
    fl.optimizers.SGD(momentum=0.8, nesterov=True),
    fl.optimizers.Adam(),
    fl.optimizers.AdamW(weight_decay=0.1),
    fl.optimizers.chain(fl.optimizers.clip_by_global_norm(0.1), fl.optimizers.Adam()),
    fl.optimizers.chain(
        fl.optimizers.add_decayed_weights(0.1), fl.optimizers.clip_by_global_norm(0.1), fl.optimizers.SGD(0.9)
    ),
)
SCHEDULERS = (
    fl.schedulers.ConstantLR(0.05),
    fl.schedulers.StepLR(0.05, step_size=2, gamma=0.5),
    fl.schedulers.ExponentialLR(0.05, gamma=0.9),
    fl.schedulers.CosineAnnealingLR(0.05, T_max=3),
    fl.schedulers.warmup(
        fl.schedulers.times(fl.schedulers.CyclicLR(0.05, 0.1, 2, 3), fl.schedulers.InverseTimeLR(1.0)), 2, 0.5
    ),
)
PLATEAU = fl.schedulers.ReduceLROnPlateau(0.05, metric="loss", patience=1, min_delta=0.05)


def dataset(kind, rows, seed=0):
    """Examples with targets for a loss."""
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((rows, INPUTS))
    loss, outputs = LOSSES[kind]
    if kind == "kl":
        return fl.Dataset(x, draw.dirichlet(np.full(outputs, 0.5), rows))
    if "accuracy" not in loss.metrics:
        return fl.Dataset(x, draw.standard_normal((rows, outputs)))
    return fl.Dataset(x, (x[:, 0] > 0).astype(np.int64) if outputs == 1 else draw.integers(0, outputs, rows))


def metrics_of(kind):
    """All metrics that suit a loss."""
    loss, outputs = LOSSES[kind]
    return METRICS["regression" if "accuracy" not in loss.metrics else "two classes" if outputs == 1 else "classification"]


@st.composite
def problems(draw, stopping=NEVER):
    """A trainer and its training data."""
    kind = draw(st.sampled_from(sorted(LOSSES)))
    loss, outputs = LOSSES[kind]
    every = draw(st.sampled_from(["epoch", "step"]))
    schedulers = SCHEDULERS if every == "step" else (*SCHEDULERS, PLATEAU)
    trainer = fl.Trainer(
        model=fl.mlp([INPUTS, *draw(st.lists(st.integers(1, 5), max_size=2)), outputs], draw(st.sampled_from(ACTIVATIONS))),
        loss=loss,
        optimizer=draw(st.sampled_from(OPTIMIZERS)),
        scheduler=draw(st.sampled_from(schedulers)),
        early_stopping=draw(stopping),
        batch_size=draw(st.integers(1, 9)),
        accumulate=draw(st.sampled_from([1, 1, 2, 3])),
        schedule_every=every,
        seed=draw(st.integers(0, 2**64 - 1)),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        metrics=draw(st.sampled_from([loss.metrics, metrics_of(kind)])),
    )
    return trainer, dataset(kind, draw(st.integers(1, 24)), draw(st.integers(0, 9)))


values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(-2, 2),
    st.sampled_from([0.0, 1.0, 1.0 - 1e-4, float("nan"), float("inf")]),
)
# Few different values in a history, so that equal ones, which mathematics has to decide about, come often.
histories = st.lists(values, min_size=1, max_size=4).flatmap(
    lambda pool: st.lists(st.sampled_from(pool), min_size=1, max_size=30)
)

"""What the laws are tried on: trainers and data of every kind there is, and histories of a metric."""

import numpy as np
from hypothesis import strategies as st

import fnloop as fl

INPUTS = 3
NEVER = st.none()
LOSSES = {
    "binary": (fl.losses.BinaryCrossEntropy(), 1),
    "softmax": (fl.losses.SoftmaxCrossEntropy(), 3),
    "mse": (fl.losses.MeanSquaredError(), 2),
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
    fl.optimizers.Adamax(),
    fl.optimizers.AMSGrad(b2=0.9),
    fl.optimizers.NAdam(),
    fl.optimizers.RAdam(),
    fl.optimizers.RMSprop(),
    fl.optimizers.RMSprop(0.9, 1e-3, 0.5, centered=True),
    fl.optimizers.Adagrad(0.1),
    fl.optimizers.Adadelta(),
    fl.optimizers.Rprop(),
    fl.optimizers.Lion(),
    fl.optimizers.chain(
        fl.optimizers.clip_by_value(0.1),
        fl.optimizers.add_l1_penalty(0.01),
        fl.optimizers.add_l2_penalty(0.01),
        fl.optimizers.SGD(0.9),
    ),
    fl.optimizers.scheduled(fl.optimizers.SGD(0.9), momentum=fl.schedulers.LinearLR(0.9, 30, 0.5, 1.0)),
    fl.optimizers.scheduled(
        fl.optimizers.AdamW(),
        b1=fl.schedulers.LinearLR(0.9, 30, 0.5, 1.0),
        weight_decay=fl.schedulers.CosineAnnealingLR(0.1, T_max=30),
    ),
    fl.optimizers.LAMB(weight_decay=0.1),
    fl.optimizers.chain(
        fl.optimizers.add_decayed_weights(0.1),
        fl.optimizers.clip_by_norm(0.5),
        fl.optimizers.adaptive_grad_clip(0.3),
        fl.optimizers.centralize(),
        fl.optimizers.SGD(0.9),
    ),
    fl.optimizers.chain(
        fl.optimizers.masked(fl.optimizers.scheduled(fl.optimizers.Adam(), b1=fl.schedulers.ExponentialLR(0.9, 0.99)), [0]),
        fl.optimizers.scale_by_layer({0: 0.3}),
        fl.optimizers.ema(0.9, debias=True),
    ),
    fl.optimizers.lookahead(fl.optimizers.SGD(0.9), k=3),
    fl.optimizers.chain(fl.optimizers.Adam(), fl.optimizers.swa(5, 3)),
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
    y = {
        "binary": lambda: (x[:, 0] > 0).astype(np.int64),
        "softmax": lambda: draw.integers(0, 3, rows),
        "mse": lambda: draw.standard_normal((rows, 2)),
    }[kind]()
    return fl.Dataset(x, y)


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

"""Strategies for populations: trainers that differ in everything in which members may differ."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

import fnloop as fl
from fnloop import nn
from fnloop.core.fields import field_names, is_record
from fnloop.core.records import evolve
from fnloop.testing import catalog

FACTORS = 1.0, 0.9, 0.5, 0.999  # of the floats of an optimizer
EXPLODING = 1e3, 1e18, 1e38, 1e300  # learning rates


@fl.frozen
class Halved(nn.Layer):
    """A custom layer, which knows no axis of members."""

    def forward(self, params, x, context):
        assert x.ndim == 2
        return x / 2, lambda dy, grads, need_dx: dy / 2 if need_dx else None, ()


@fl.frozen
class Signs(nn.Layer):
    """Indices for an embedding: 0, 1 or 2 for a value below, at or above zero. It takes an axis of members."""

    stacks = True

    def forward(self, params, x, context):
        return np.sign(x) + 1, lambda dy, grads, need_dx: np.zeros_like(x), ()


def models(outputs: int) -> list[nn.Sequential]:
    """Return models with every layer: those that take an axis of members, and those that do not."""
    n = catalog.INPUTS
    same = nn.Sequential((4, 2), (nn.Conv1d(2, 2, 3, padding="same"), nn.MaxPool1d(3, stride=1, padding="same")))
    shapes = nn.Reshape((3, 2)), nn.LayerNorm(2), nn.Activation("softmax"), nn.BatchNorm(2), nn.Dropout(0.2), nn.Flatten()
    return [
        *(make(n, outputs) for make in catalog.MODELS.values()),
        *(nn.mlp([n, 5, 4, outputs], activation) for activation in nn.ACTIVATIONS),
        nn.Sequential(n, (nn.Dense(n, 6, bias=False), *shapes, nn.Dense(6, outputs))),
        nn.Sequential(n, (nn.LayerNorm(n), nn.Residual(nn.Dense(n, n)), nn.Dense(n, outputs))),
        nn.Sequential(n, (nn.Dense(n, 8), nn.Reshape((4, 2)), nn.Residual(same), nn.GlobalAvgPool(), nn.Dense(2, outputs))),
        nn.Sequential(n, (Signs(), nn.Embedding(3, 4), nn.Conv1d(4, 2, 2), nn.Flatten(), nn.Dense(4, outputs))),
        nn.Sequential(n, (nn.Dense(n, 4), Halved(), nn.Dense(4, outputs))),
    ]


def with_other_floats(value: Any, draw: st.DrawFn) -> Any:
    """Return an optimizer with other floats, where they are allowed."""
    if isinstance(value, tuple):
        return tuple(with_other_floats(item, draw) for item in value)
    if not is_record(value):
        return value
    old = {name: getattr(value, name) for name in field_names(type(value))}
    new = {
        name: field * draw(st.sampled_from(FACTORS)) if type(field) is float else with_other_floats(field, draw)
        for name, field in old.items()
    }
    try:
        return evolve(value, **new)
    except (TypeError, ValueError):
        return value


@st.composite
def populations(draw: st.DrawFn, kind: str | None = None) -> tuple[list[fl.Trainer], fl.Dataset, fl.Dataset | None]:
    """Return trainers that share what `kind_of` lists, with training data, and validation data or None."""
    kind = draw(st.sampled_from(sorted(catalog.LOSSES))) if kind is None else kind
    loss, outputs = catalog.LOSSES[kind]
    every = draw(st.sampled_from(["epoch", "step"]))
    train = catalog.dataset(kind, draw(st.integers(1, 24)), draw(st.integers(0, 9)))
    if draw(st.booleans()):
        train = fl.Dataset(train.x, train.y, np.linspace(0, 2, len(train)))
    validation = catalog.dataset(kind, draw(st.integers(2, 12)), 3) if draw(st.booleans()) else None
    metrics = draw(st.sampled_from([loss.metrics, catalog.metrics_of(kind)]))
    if kind == "binary" and validation is not None and len(set(validation.y.tolist())) == 2:
        metrics = (*metrics, "roc_auc")
    shared: dict[str, Any] = {
        "model": draw(st.sampled_from(models(outputs))),
        "loss": loss,
        "metrics": metrics,
        "batch_size": draw(st.integers(1, 9)),
        "accumulate": draw(st.sampled_from([1, 1, 2])),
        "dtype": draw(st.sampled_from(["float32", "float64"])),
        "schedule_every": every,
    }
    optimizer = draw(st.sampled_from(catalog.OPTIMIZERS + catalog.AVERAGING))
    same_optimizer = draw(st.booleans())
    schedules = st.sampled_from(catalog.SCHEDULERS if every == "step" else (*catalog.SCHEDULERS, catalog.PLATEAU))
    rates = st.one_of(schedules, schedules, st.sampled_from(EXPLODING).map(fl.schedulers.ConstantLR))
    stopping = [
        None,
        fl.EarlyStopping("loss", patience=1, min_delta=0.05),
        fl.EarlyStopping("loss", patience=2, restore_best=False),
    ]
    members = [
        fl.Trainer(
            **shared,
            optimizer=optimizer if same_optimizer else with_other_floats(optimizer, draw),
            scheduler=draw(rates),
            early_stopping=draw(st.sampled_from(stopping)),
            seed=draw(st.integers(0, 2)),
            non_finite=draw(st.sampled_from(["stop", "skip"])),
        )
        for _ in range(draw(st.integers(2, 9)))
    ]
    return members, train, validation

"""Hypothesis strategies for parts of a run, to test your own laws with."""

from typing import Any

from hypothesis import strategies as st
from toolz import take

from fnloop import nn
from fnloop.core.checks import choice, integer
from fnloop.core.records import evolve
from fnloop.data.dataset import Dataset
from fnloop.losses import Loss
from fnloop.nn import Layer
from fnloop.optimizers import Elementwise, add_decayed_weights, chain, clip_by_global_norm
from fnloop.schedulers import Scheduler
from fnloop.streams.select import last
from fnloop.testing.catalog import (
    AVERAGING,
    INPUTS,
    LOSSES,
    MODELS,
    OPTIMIZERS,
    PLATEAU,
    SCHEDULERS,
    dataset,
    metrics_of,
)
from fnloop.training.early_stopping import EarlyStopping
from fnloop.training.loop import steps
from fnloop.training.start import init_state
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Strategy = st.SearchStrategy
NEVER: Strategy[EarlyStopping | None] = st.none()
_seeds = st.integers(0, 2**64 - 1)


def optimizers(*, chains: bool = True) -> Strategy[Elementwise]:
    """Return a strategy for optimizers.

    Args:
        chains: Whether to include chains with gradient clipping before and weight decay after the optimizer.

    Examples:
        >>> from hypothesis import given
        >>> import numpy as np
        >>> @given(optimizers())
        ... def test_starts_without_updates(optimizer):
        ...     assert optimizer.init(np.zeros(3)).count == 0
        >>> test_starts_without_updates()

    See Also:
        `check_optimizer`
    """
    single = st.sampled_from(OPTIMIZERS)
    if not chains:
        return single
    clips = st.builds(clip_by_global_norm, st.floats(0.01, 10.0))
    decays = st.builds(add_decayed_weights, st.floats(0.01, 10.0))
    return (
        single | st.builds(chain, clips, single) | st.builds(chain, single, decays) | st.builds(chain, clips, single, decays)
    )


def layers(*, inputs: int = INPUTS, max_outputs: int = 5) -> Strategy[Layer]:
    """Return a strategy for layers that take x of shape (N, inputs).

    Args:
        inputs: The number of features.
        max_outputs: The largest number of outputs.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If a number is below 1.

    Examples:
        >>> from hypothesis import given
        >>> import numpy as np
        >>> @given(layers(inputs=4))
        ... def test_starts_finite(layer):
        ...     assert all(np.isfinite(array).all() for array in layer.initial(0, 0))
        >>> test_starts_finite()

    See Also:
        `check_layer`
    """
    inputs, max_outputs = integer(1)("inputs", inputs), integer(1)("max_outputs", max_outputs)
    outputs = st.integers(1, max_outputs)
    dense: Strategy[Layer] = st.builds(nn.Dense, st.just(inputs), outputs, init=st.sampled_from(nn.INITIALIZERS))
    same_shape: Strategy[Layer] = st.one_of(
        st.builds(nn.Activation, st.sampled_from(nn.ACTIVATIONS)),
        st.builds(nn.Dropout, st.floats(0.0, 0.9)),
        st.builds(nn.LayerNorm, st.just(inputs)),
        st.builds(nn.BatchNorm, st.just(inputs), momentum=st.floats(0.01, 1.0)),
    )
    square: Strategy[Layer] = st.builds(nn.Dense, st.just(inputs), st.just(inputs))
    return dense | same_shape | st.builds(nn.Residual, same_shape | square)


def losses() -> Strategy[Loss]:
    """Return a strategy for losses.

    Examples:
        >>> from hypothesis import given
        >>> @given(losses())
        ... def test_has_metrics(loss):
        ...     assert isinstance(loss.metrics, tuple)
        >>> test_has_metrics()

    See Also:
        `check_loss`
    """
    return st.sampled_from([loss for loss, _ in LOSSES.values()])


def datasets(kind: str = "binary", *, inputs: int = INPUTS, min_rows: int = 1, max_rows: int = 24) -> Strategy[Dataset]:
    """Return a strategy for small datasets.

    Args:
        kind: The kind of problem, such as `"binary"` (labels 0 and 1), `"softmax"` (three labels) or `"mse"` (two values). The
            message of the error lists all kinds.
        inputs: The number of features.
        min_rows: The smallest number of examples.
        max_rows: The largest number of examples.

    Raises:
        TypeError: If a number is not an integer.
        ValueError: If the kind is unknown, or a number is outside its range.

    Examples:
        >>> from hypothesis import given
        >>> @given(datasets("softmax", max_rows=8))
        ... def test_has_labels(data):
        ...     assert set(data.y.tolist()) <= {0, 1, 2} and len(data) <= 8
        >>> test_has_labels()

    See Also:
        `problems`
    """
    kind, inputs = choice(*LOSSES)("kind", kind), integer(1)("inputs", inputs)
    rows = st.integers(integer(1)("min_rows", min_rows), integer(min_rows)("max_rows", max_rows))
    return st.builds(dataset, st.just(kind), rows, st.integers(0, 9), st.just(inputs))


def trainers(
    *,
    kind: str | None = None,
    inputs: int = INPUTS,
    optimizer: Strategy[Elementwise] | None = None,
    scheduler: Strategy[Scheduler] | None = None,
    early_stopping: Strategy[EarlyStopping | None] = NEVER,
) -> Strategy[Trainer]:
    """Return a strategy for trainers of small networks.

    Args:
        kind: The kind of problem, as in `datasets`; by default any.
        inputs: The number of features.
        optimizer: A strategy for the optimizer; by default any.
        scheduler: A strategy for the schedule, which is then stepped once per epoch; by default any.
        early_stopping: A strategy for early stopping; by default there is none.

    Raises:
        TypeError: If `inputs` is not an integer.
        ValueError: If the kind is unknown, or `inputs` is below 1.

    Examples:
        >>> from hypothesis import given
        >>> @given(trainers(kind="mse"))
        ... def test_starts_at_zero(trainer):
        ...     assert init_state(trainer).step == 0
        >>> test_starts_at_zero()

    See Also:
        `problems`, `check_trainer`
    """
    kinds = st.sampled_from(sorted(LOSSES)) if kind is None else st.just(choice(*LOSSES)("kind", kind))
    schedule_every = st.sampled_from(["epoch", "step"]) if scheduler is None else st.just("epoch")
    parts = {"optimizer": optimizer or st.sampled_from(OPTIMIZERS + AVERAGING), "early_stopping": early_stopping}
    return _trainers(kinds, integer(1)("inputs", inputs), schedule_every, scheduler, parts)


def _models(inputs: int, outputs: int) -> Strategy[nn.Sequential]:
    """Perceptrons, and the other networks of the catalog."""
    hidden = st.lists(st.integers(1, 5), max_size=2)
    activations = st.sampled_from(nn.ACTIVATIONS)
    perceptrons = st.builds(lambda widths, name: nn.mlp([inputs, *widths, outputs], name), hidden, activations)
    return perceptrons | st.sampled_from([make_model(inputs, outputs) for make_model in MODELS.values()])


@st.composite
def _trainers(
    draw: st.DrawFn,
    kinds: Strategy[str],
    inputs: int,
    schedule_every_strategy: Strategy[str],
    scheduler: Strategy[Scheduler] | None,
    parts: dict[str, Strategy[Any]],
) -> Trainer:
    kind = draw(kinds)
    loss, outputs = LOSSES[kind]
    schedule_every: Any = draw(schedule_every_strategy)
    schedules = st.sampled_from(SCHEDULERS if schedule_every == "step" else (*SCHEDULERS, PLATEAU))
    return Trainer(
        model=draw(_models(inputs, outputs)),
        loss=loss,
        scheduler=draw(schedules if scheduler is None else scheduler),
        batch_size=draw(st.integers(1, 9)),
        accumulate=draw(st.sampled_from([1, 1, 2, 3])),
        schedule_every=schedule_every,
        seed=draw(_seeds),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        metrics=draw(st.sampled_from([loss.metrics, metrics_of(kind)])),
        **{name: draw(part) for name, part in parts.items()},
    )


def problems(early_stopping: Strategy[EarlyStopping | None] = NEVER, **options: Any) -> Strategy[tuple[Trainer, Dataset]]:
    """Return a strategy for pairs of a trainer and a training set that matches it.

    Args:
        early_stopping: A strategy for early stopping; by default there is none.
        **options: Arguments of `trainers`.

    Examples:
        >>> from hypothesis import given
        >>> @given(problems())
        ... def test_they_match(problem):
        ...     trainer, data = problem
        ...     trainer.check_data(data, "data")
        >>> test_they_match()

    See Also:
        `trainers`, `datasets`
    """
    return trainers(early_stopping=early_stopping, **options).flatmap(
        lambda trainer: st.tuples(st.just(trainer), datasets(_kind_of(trainer), inputs=trainer.model.inputs[0]))
    )


def _kind_of(trainer: Trainer) -> str:
    return next(kind for kind, (loss, _) in LOSSES.items() if loss == trainer.loss)


def states(*, max_steps: int = 6, **options: Any) -> Strategy[TrainState]:
    """Return a strategy for training states after a few steps, which may be in the middle of an epoch.

    Args:
        max_steps: The largest number of steps.
        **options: Arguments of `trainers`.

    Raises:
        TypeError: If `max_steps` is not an integer.
        ValueError: If `max_steps` is negative.

    Examples:
        >>> from hypothesis import given
        >>> @given(states(kind="binary"))
        ... def test_is_frozen(state):
        ...     assert not state.params.vector.flags.writeable
        >>> test_is_frozen()

    See Also:
        `check_step`
    """
    counts = st.integers(0, integer(0)("max_steps", max_steps))
    return st.builds(lambda problem, n: last(take(n + 1, steps(*problem))), problems(**options), counts)


def metric_histories(*, min_size: int = 1, max_size: int = 30, finite: bool = False) -> Strategy[list[float]]:
    """Return a strategy for the values of a metric, one for each epoch, with many ties.

    Args:
        min_size: The smallest number of epochs.
        max_size: The largest number of epochs.
        finite: Whether all values are finite; by default NaN and infinities are included.

    Examples:
        >>> from hypothesis import given
        >>> @given(metric_histories(max_size=9))
        ... def test_is_short(history):
        ...     assert 1 <= len(history) <= 9
        >>> test_is_short()

    See Also:
        `runs`
    """
    non_finite = [] if finite else [float("nan"), float("inf")]
    values = st.one_of(
        st.floats(allow_nan=not finite, allow_infinity=not finite),
        st.floats(-2, 2),
        st.sampled_from([0.0, 1.0, 1.0 - 1e-4, *non_finite]),
    )
    # A history has few distinct values, so that ties, for which a selector needs a rule, are frequent.
    pools = st.lists(values, min_size=1, max_size=4)
    return pools.flatmap(lambda pool: st.lists(st.sampled_from(pool), min_size=min_size, max_size=max_size))


_TRAINER = Trainer(model=nn.mlp([INPUTS, 1]), loss=LOSSES["binary"][0])


def states_of(history: list[float], metric: str = "val_loss") -> list[TrainState]:
    """Return the states of a run with a history of a metric, the initial state first; the parameters differ in each epoch.

    Args:
        history: The values of the metric, one for each epoch.
        metric: Name of the metric.
    """
    initial = init_state(_TRAINER)
    vector = initial.params.vector
    return [initial] + [
        evolve(initial, epoch=epoch, step=epoch, metrics={metric: value}, params=evolve(initial.params, vector=vector + epoch))
        for epoch, value in enumerate(history, start=1)
    ]


def runs(metric: str = "val_loss", **options: Any) -> Strategy[list[TrainState]]:
    """Return a strategy for whole runs, as lists of states, with any history of a metric.

    Args:
        metric: Name of the metric.
        **options: Arguments of `metric_histories`.

    Examples:
        >>> from hypothesis import given
        >>> @given(runs("val_loss", max_size=5))
        ... def test_counts_epochs(states):
        ...     assert [state.epoch for state in states] == list(range(len(states)))
        >>> test_counts_epochs()

    See Also:
        `check_selector`
    """
    return metric_histories(**options).map(lambda history: states_of(history, metric))

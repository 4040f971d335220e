"""Hypothesis strategies for the parts of a run: what a law of your own can be tried on."""

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
from fnloop.training.loop import init_state, steps
from fnloop.training.state import TrainState
from fnloop.training.trainer import Trainer

Strategy = st.SearchStrategy
NEVER: Strategy[EarlyStopping | None] = st.none()
_seeds = st.integers(0, 2**64 - 1)


def optimizers(*, chains: bool = True) -> Strategy[Elementwise]:
    """Optimizers: each that there is, and, if wanted, chains of it with clipping before and decay behind.

    Examples:
        >>> from hypothesis import given
        >>> import numpy as np
        >>> @given(optimizers())
        ... def test_starts_without_updates(optimizer):
        ...     assert optimizer.init(np.zeros(3)).count == 0
        >>> test_starts_without_updates()
    """
    single = st.sampled_from(OPTIMIZERS)
    if not chains:
        return single
    clips, decays = (st.builds(make, st.floats(0.01, 10.0)) for make in (clip_by_global_norm, add_decayed_weights))
    return (
        single | st.builds(chain, clips, single) | st.builds(chain, single, decays) | st.builds(chain, clips, single, decays)
    )


def layers(*, inputs: int = INPUTS, max_outputs: int = 5) -> Strategy[Layer]:
    """Layers for x of shape (N, inputs).

    Examples:
        >>> from hypothesis import given
        >>> import numpy as np
        >>> @given(layers(inputs=4))
        ... def test_starts_finite(layer):
        ...     assert all(np.isfinite(array).all() for array in layer.initial(0, 0))
        >>> test_starts_finite()
    """
    inputs, most = integer(1)("inputs", inputs), integer(1)("max_outputs", max_outputs)
    dense: Strategy[Layer] = st.builds(nn.Dense, st.just(inputs), st.integers(1, most), init=st.sampled_from(nn.INITIALIZERS))
    keeping: Strategy[Layer] = st.one_of(
        st.builds(nn.Activation, st.sampled_from(nn.ACTIVATIONS)),
        st.builds(nn.Dropout, st.floats(0.0, 0.9)),
        st.builds(nn.LayerNorm, st.just(inputs)),
        st.builds(nn.BatchNorm, st.just(inputs), momentum=st.floats(0.01, 1.0)),
    )
    square: Strategy[Layer] = st.builds(nn.Dense, st.just(inputs), st.just(inputs))
    return dense | keeping | st.builds(nn.Residual, keeping | square)


def losses() -> Strategy[Loss]:
    """The losses that there are.

    Examples:
        >>> from hypothesis import given
        >>> @given(losses())
        ... def test_has_metrics(loss):
        ...     assert isinstance(loss.metrics, tuple)
        >>> test_has_metrics()
    """
    return st.sampled_from([loss for loss, _ in LOSSES.values()])


def datasets(kind: str = "binary", *, inputs: int = INPUTS, min_rows: int = 1, max_rows: int = 24) -> Strategy[Dataset]:
    """Small datasets for a kind of problem: `"binary"` (labels 0 and 1), `"softmax"` (three labels), `"mse"` (two values), ...

    Examples:
        >>> from hypothesis import given
        >>> @given(datasets("softmax", max_rows=8))
        ... def test_has_labels(data):
        ...     assert set(data.y.tolist()) <= {0, 1, 2} and len(data) <= 8
        >>> test_has_labels()

    Raises: ValueError: for a kind that there is not; the message lists them.
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
    """Trainers of small networks: sizes, parts, batches, accumulation, seed and dtype of every kind.

    Args:
        kind: of problem, as in `datasets`; by default any.
        optimizer, scheduler, early_stopping: strategies for these parts; by default all that there are, and no stopping.

    Examples:
        >>> from hypothesis import given
        >>> @given(trainers(kind="mse"))
        ... def test_starts_at_zero(trainer):
        ...     assert init_state(trainer).step == 0
        >>> test_starts_at_zero()
    """
    kinds = st.sampled_from(sorted(LOSSES)) if kind is None else st.just(choice(*LOSSES)("kind", kind))
    every = st.sampled_from(["epoch", "step"]) if scheduler is None else st.just("epoch")
    parts = {"optimizer": optimizer or st.sampled_from(OPTIMIZERS + AVERAGING), "early_stopping": early_stopping}
    return _trainers(kinds, integer(1)("inputs", inputs), every, scheduler, parts)


def _models(inputs: int, outputs: int) -> Strategy[nn.Sequential]:
    """Perceptrons, and each of the other networks that there are."""
    hidden = st.lists(st.integers(1, 5), max_size=2)
    perceptrons = st.builds(lambda h, name: nn.mlp([inputs, *h, outputs], name), hidden, st.sampled_from(nn.ACTIVATIONS))
    return perceptrons | st.sampled_from([make(inputs, outputs) for make in MODELS.values()])


@st.composite
def _trainers(draw: st.DrawFn, kinds: Any, inputs: int, every: Any, scheduler: Any, parts: dict[str, Any]) -> Trainer:
    kind = draw(kinds)
    loss, outputs = LOSSES[kind]
    schedule_every = draw(every)
    own = st.sampled_from(SCHEDULERS if schedule_every == "step" else (*SCHEDULERS, PLATEAU))
    return Trainer(
        model=draw(_models(inputs, outputs)),
        loss=loss,
        scheduler=draw(own if scheduler is None else scheduler),
        batch_size=draw(st.integers(1, 9)),
        accumulate=draw(st.sampled_from([1, 1, 2, 3])),
        schedule_every=schedule_every,
        seed=draw(_seeds),
        dtype=draw(st.sampled_from(["float32", "float64"])),
        metrics=draw(st.sampled_from([loss.metrics, metrics_of(kind)])),
        **{name: draw(part) for name, part in parts.items()},
    )


def problems(early_stopping: Strategy[EarlyStopping | None] = NEVER, **options: Any) -> Strategy[tuple[Trainer, Dataset]]:
    """Pairs of a trainer and training data for it; the options are those of `trainers`.

    Examples:
        >>> from hypothesis import given
        >>> @given(problems())
        ... def test_they_fit(problem):
        ...     trainer, data = problem
        ...     trainer.check_data(data, "data")
        >>> test_they_fit()
    """
    return trainers(early_stopping=early_stopping, **options).flatmap(
        lambda trainer: st.tuples(st.just(trainer), datasets(_kind_of(trainer), inputs=trainer.model.inputs[0]))
    )


def _kind_of(trainer: Trainer) -> str:
    return next(kind for kind, (loss, _) in LOSSES.items() if loss == trainer.loss)


def states(*, max_steps: int = 6, **options: Any) -> Strategy[TrainState]:
    """States of training, reached in a few steps, also in the middle of an epoch; the options are those of `trainers`.

    Examples:
        >>> from hypothesis import given
        >>> @given(states(kind="binary"))
        ... def test_is_frozen(state):
        ...     assert not state.params.vector.flags.writeable
        >>> test_is_frozen()
    """
    taken = st.integers(0, integer(0)("max_steps", max_steps))
    return st.builds(lambda problem, n: last(take(n + 1, steps(*problem))), problems(**options), taken)


def metric_histories(*, min_size: int = 1, max_size: int = 30, finite: bool = False) -> Strategy[list[float]]:
    """The values of a metric, one an epoch: with ties, and, unless only finite ones are wanted, with NaN and infinities.

    Examples:
        >>> from hypothesis import given
        >>> @given(metric_histories(max_size=9))
        ... def test_is_short(history):
        ...     assert 1 <= len(history) <= 9
        >>> test_is_short()
    """
    ends = [] if finite else [float("nan"), float("inf")]
    values = st.one_of(
        st.floats(allow_nan=not finite, allow_infinity=not finite),
        st.floats(-2, 2),
        st.sampled_from([0.0, 1.0, 1.0 - 1e-4, *ends]),
    )
    # Few different values in a history, so that equal ones, which mathematics has to decide about, come often.
    pools = st.lists(values, min_size=1, max_size=4)
    return pools.flatmap(lambda pool: st.lists(st.sampled_from(pool), min_size=min_size, max_size=max_size))


_TRAINER = Trainer(model=nn.mlp([INPUTS, 1]), loss=LOSSES["binary"][0])


def run_of(history: list[float], metric: str = "val_loss") -> list[TrainState]:
    """The states of a run with this history of a metric, the initial one first; their parameters tell the epochs apart."""
    initial = init_state(_TRAINER)
    vector = initial.params.vector
    return [initial] + [
        evolve(initial, epoch=epoch, step=epoch, metrics={metric: value}, params=evolve(initial.params, vector=vector + epoch))
        for epoch, value in enumerate(history, start=1)
    ]


def runs(metric: str = "val_loss", **options: Any) -> Strategy[list[TrainState]]:
    """Whole runs as lists of states, with any history of a metric; the options are those of `metric_histories`.

    Examples:
        >>> from hypothesis import given
        >>> @given(runs("val_loss", max_size=5))
        ... def test_counts_epochs(states):
        ...     assert [state.epoch for state in states] == list(range(len(states)))
        >>> test_counts_epochs()
    """
    return metric_histories(**options).map(lambda history: run_of(history, metric))

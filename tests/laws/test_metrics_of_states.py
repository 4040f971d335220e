"""A state has the metrics of its own parameters, or none, in every stream and after every selection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import nth, take

import fnloop as fl
from fnloop.core.records import evolve
from fnloop.optimizers import SGD, chain, ema
from tests.strategies import dataset, problems

policies = st.builds(
    fl.EarlyStopping,
    st.just("val_loss"),
    patience=st.integers(1, 3),
    min_delta=st.sampled_from([0.0, 1e-3, 0.05]),
    restore_best=st.booleans(),
)


def has_own_metrics(trainer, state, validation):
    """Return whether a state has no metrics, or the validation metrics that `evaluate` returns, to the bit."""
    measured = {f"val_{name}": value for name, value in fl.evaluate(trainer, state, validation).items()}
    return fl.same_bits({name: state.metrics[name] for name in measured}, measured) if state.metrics else True


@given(problems(early_stopping=policies), st.integers(1, 9), st.data())
def test_metrics_are_those_of_the_parameters(problem, epochs, draw):
    """So it is for every state by epochs, by steps, after a start within an epoch, and restored."""
    trainer, data = problem
    by_epochs = list(take(epochs + 1, fl.epochs(trainer, data, data)))
    by_steps = list(take(2 * epochs, fl.steps(trainer, data, data)))
    start = draw.draw(st.sampled_from(by_steps))
    started = list(take(3, fl.epochs(trainer, data, data, start=start)))
    assert all(has_own_metrics(trainer, state, data) for state in [*by_epochs, *by_steps, *started])
    assert all(bool(state.metrics) == (state.progress.batches == 0 and state.epoch > 0) for state in by_steps)
    if by_epochs[-1].early_stopping.best_vector is not None:
        restored = fl.restored(by_epochs[-1])
        assert restored.metrics
        assert has_own_metrics(trainer, restored, data)


@given(problems(early_stopping=policies), st.sampled_from(["val_loss", "loss"]))
def test_selected_states_have_their_own_metrics(problem, metric):
    """So do those of `best`, `top`, `last` and `fit`; an average of parameters was not measured and has none."""
    trainer, data = problem
    trainer = evolve(trainer, optimizer=chain(SGD(momentum=0.5), ema(0.5)))
    states = list(take(6, fl.epochs(trainer, data, data)))
    if states[-1].stop_reason == "non-finite":
        return
    result = fl.fit(trainer, data, data, epochs=5, monitor=metric, progress=False)
    for state in [fl.best(metric, states), fl.last(states), *fl.top(3, metric, states), result.best, result.last]:
        assert state.metrics
        assert has_own_metrics(trainer, state, data)
    assert fl.same_bits(result.last, states[-1])
    assert fl.averaged(result.last).metrics == {}


@pytest.mark.parametrize("seed", range(4))
def test_states_from_files_have_their_own_metrics(tmp_path, seed):
    """The states of a run file and of a checkpoint evaluate to the metrics that they have."""
    train, validation = dataset("binary", 60, seed=seed), dataset("binary", 200, seed=seed + 9)
    trainer = fl.Trainer(
        model=fl.mlp([3, 16, 1]),
        loss=fl.losses.BinaryCrossEntropy(),
        scheduler=fl.schedulers.ConstantLR(0.05),
        early_stopping=fl.EarlyStopping("val_loss", patience=3),
        batch_size=16,
        seed=seed,
    )
    states = fl.checkpoint(tmp_path / "best.npz", fl.epochs(trainer, train, validation), metric="val_accuracy")
    fl.last(fl.record(tmp_path / "a.run", trainer, train, validation, take(60, states)))
    run = fl.open_run(tmp_path / "a.run")
    within = run.state(step=run.last.step - 2)
    for state in [fl.load(tmp_path / "best.npz"), run.best("val_accuracy"), run.best(), run.last, run.state(1)]:
        assert state.metrics
        assert has_own_metrics(trainer, state, validation)
    assert within.metrics == {}
    assert run.bisect("epoch >= 1 and val_loss < 10").epoch == 1


def test_every_state_of_epochs_is_one_of_steps():
    """The state after an epoch's last step is that of the stream of epochs."""
    data = dataset("binary", 20)
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy(), batch_size=8)
    steps = list(take(10, fl.steps(trainer, data, data)))
    for epoch in range(4):
        assert fl.same_bits(nth(epoch, fl.epochs(trainer, data, data)), steps[3 * epoch])

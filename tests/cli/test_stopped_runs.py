"""The output of the commands on runs that ended in each way says which epoch each state is of."""

import re
from itertools import islice

import numpy as np
import pytest

import fnloop as fl
from fnloop.optimizers import SGD
from fnloop.schedulers import ConstantLR, PiecewiseLR
from tests.cli.support import run_here
from tests.replay.support import tiny

RISING = PiecewiseLR([0, 2], [0.01, 30.0], interpolate="previous")
JUMP = PiecewiseLR([0, 3], [0.01, 1e300], interpolate="previous")


def record(path, epochs=30, **changes):
    trainer, train, validation = tiny(**changes)
    states = islice(fl.epochs(trainer, train, validation), epochs + 1)
    fl.last(fl.record(path, trainer, train, validation, states))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs that stopped for each reason; `restored.run` and `kept.run` are best in epoch 2."""
    path = tmp_path_factory.mktemp("stopped")
    policy = fl.EarlyStopping("val_loss", patience=2)
    record(path / "restored.run", optimizer=SGD(), scheduler=RISING, early_stopping=policy)
    policy = fl.EarlyStopping("val_loss", patience=2, restore_best=False)
    record(path / "plain.run", optimizer=SGD(), scheduler=RISING, early_stopping=policy)
    with pytest.warns(fl.NonFiniteWarning):
        record(path / "first.run", optimizer=SGD(), scheduler=JUMP)
    policy = fl.EarlyStopping("val_loss", patience=2)
    with pytest.warns(fl.NonFiniteWarning):
        record(path / "at_once.run", optimizer=SGD(), scheduler=1e300, early_stopping=policy)
    x = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    data = fl.Dataset(x, x.sum(1))
    trainer = fl.Trainer(
        model=fl.mlp([3, 1]), loss="mse", optimizer=SGD(), scheduler=ConstantLR(3.0), metrics=(), batch_size=8, seed=1
    )
    with pytest.warns(fl.NonFiniteWarning):
        fl.last(fl.record(path / "within.run", trainer, data, data, islice(fl.epochs(trainer, data, data), 40)))
    run = fl.open_run(path / "restored.run")
    run.fork(4, path / "fork.run", early_stopping=None, scheduler=30.0).resume(6, progress=False)
    return path


@pytest.fixture
def output_of(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def output(*words):
        done = run_here(*words)
        assert (done.status, done.err) == (0, "")
        return done.out

    return output


STOP = r"stopped: no improvement \(val_loss for 2 epochs, best 0\.\d+ in epoch 2\)"
KEPT = (
    "Its parameters are those of epoch 4; it also keeps those of epoch 2, the best by val_loss for early stopping, which "
    "fl.restored(state) applies.\n"
)


def test_a_run_that_early_stopping_ended(output_of, folder):
    """The last state is that of the last epoch, with the best parameters besides its own; nothing is restored by itself."""
    output = output_of("log", "restored.run")
    assert re.search(
        r"^ended +no improvement, after epoch 4, step 12; the last state also keeps the parameters that", output, re.M
    )
    assert re.search(r"^best +epoch 2, val_loss 0\.\d+$", output, re.M)
    assert re.search(r"^ +2 .*  best$", output, re.M)
    assert re.search(r"^ +4 .*  stopped: no improvement$", output, re.M)
    output = output_of("export", "restored.run", "last.npz")
    assert re.match(rf"Wrote last\.npz: epoch 4, step 12; {STOP}\nloss ", output)
    assert KEPT in output
    assert "      fnloop export restored.run best OUT.npz writes epoch 2, the best by val_loss\n" in output
    last = fl.open_run(folder / "restored.run").last
    assert fl.same_bits(fl.load(folder / "last.npz"), last)
    output = output_of("export", "restored.run", "best", "best.npz")
    assert output.startswith("Wrote best.npz: epoch 2, step 6; the best by val_loss\nloss ")
    assert "keeps" not in output
    assert fl.same_bits(fl.load(folder / "best.npz").params, fl.restored(last).params)
    output = output_of("export", "restored.run", "most.npz", "--best", "accuracy")
    assert "the best by accuracy\n" in output
    output = output_of("show", "restored.run")
    assert re.match(rf"restored\.run: epoch 4, step 12; {STOP}\n", output)
    assert KEPT in output
    output = output_of("diff", "restored.run", 2, "last")
    assert re.match(rf"- restored\.run: epoch 2, step 6\n\+ restored\.run: epoch 4, step 12; {STOP}\n", output)
    assert output_of("resume", "restored.run").startswith(
        "restored.run is finished: no improvement, after epoch 4, step 12.\n"
    )
    assert output_of("probe", "restored.run", "weight_norm").splitlines()[-1].endswith(",no improvement")


def test_a_run_that_early_stopping_ended_without_restore_best(output_of):
    """No parameters are said to be kept."""
    assert re.search(r"^ended +no improvement, after epoch 4, step 12$", output_of("log", "plain.run"), re.M)
    for words in (["export", "plain.run", "p.npz"], ["show", "plain.run"]):
        output = output_of(*words)
        assert "keeps" not in output
        assert re.search(rf"epoch 4, step 12; {STOP}\n", output)


def test_a_run_that_was_not_finite_at_the_first_step_of_an_epoch(output_of):
    """Its last state has the epoch and step of the one before; each output tells them apart."""
    stop = "the last finite state, because step 10, in epoch 4, was non-finite (the parameters, at learning rate 1e+300)"
    assert re.search(
        "^ended +non-finite, in epoch 4, step 10; the last finite state is of epoch 3, step 9$",
        output_of("log", "first.run"),
        re.M,
    )
    assert output_of("show", "first.run").startswith(f"first.run: epoch 3, step 9; {stop}\n")
    assert output_of("show", "first.run", 3).startswith("first.run: epoch 3, step 9\n")
    assert output_of("diff", "first.run", 3, "last").startswith(
        f"- first.run: epoch 3, step 9\n+ first.run: epoch 3, step 9; {stop}\n"
    )
    assert re.search(r"^stopped +None -> Stopped$", output_of("diff", "first.run", 3, "last"), re.M)
    assert output_of("export", "first.run", "f.npz").startswith(f"Wrote f.npz: epoch 3, step 9; {stop}\nloss ")
    *_, before, last = output_of("probe", "first.run", "update_norm").splitlines()
    assert before.startswith("3,9,0.")
    assert last == "3,9,0.0,0.0,0.0,non-finite"


def test_a_run_that_was_not_finite_in_its_first_epoch(output_of):
    """Early stopping has kept no parameters yet."""
    ended = next(line for line in output_of("log", "at_once.run").splitlines() if line.startswith("ended "))
    assert re.search(r"non-finite, in epoch 1, step \d; the last finite state is of epoch 0, step \d$", ended)
    assert "keeps" not in output_of("show", "at_once.run")


def test_a_run_that_was_not_finite_within_an_epoch(output_of, folder):
    """Its last state is within the next epoch, and has no metrics."""
    last = fl.open_run(folder / "within.run").last
    at = f"epoch {last.epoch}, step {last.step}"
    within = f"{at}: step {last.progress.batches} of epoch {last.epoch + 1}"
    failed = f"in epoch {last.epoch + 1}, step {last.step + 1}"
    assert f"non-finite, {failed}; the last finite state is of {at}\n" in output_of("log", "within.run")
    assert f"is finished: non-finite, {failed}; the last finite state is of {at}.\n" in output_of("resume", "within.run")
    output = output_of("export", "within.run", "w.npz")
    number = f"step {last.step + 1}, in epoch {last.epoch + 1}"
    stop = f"the last finite state, because {number}, was non-finite (the loss, at learning rate 3)"
    assert output.startswith(f"Wrote w.npz: {within}; {stop}\nIt has no metrics, which are measured at the end of an epoch.\n")
    assert f"\n{last.epoch},{last.step}," in output_of("probe", "within.run", "weight_norm")


def test_the_best_of_a_fork_is_of_its_own_epochs(output_of):
    """The best before the fork is named next to it, and which parameters a state keeps."""
    assert re.search(
        r"^best +epoch [56], val_loss .*; before the fork: epoch 2, val_loss 0\.\d+$", output_of("log", "fork.run"), re.M
    )


@pytest.mark.parametrize(
    "ending",
    [{"until": lambda state: state.epoch == 2}, {"seconds": 1e-9}, {"epochs": 2}, {"until": fl.reaches("loss", 100.0)}],
)
def test_a_run_that_was_ended_from_outside(folder, output_of, ending):
    """By its number of epochs, a threshold or the time: it did not stop by itself, and every state is of its own epoch."""
    trainer, train, validation = tiny(early_stopping=fl.EarlyStopping("val_loss"))
    fl.fit(trainer, train, validation, record=folder / "ended.run", overwrite=True, progress=False, **ending)
    last = fl.open_run(folder / "ended.run").last.epoch
    where = f"epoch {last}, step {3 * last}"
    output = output_of("log", "ended.run")
    assert re.search(rf"^ended +after {where}, on 2.*; it can be resumed$", output, re.M)
    assert "keeps" not in output
    assert output_of("show", "ended.run").startswith(f"ended.run: {where}\n")
    assert output_of("export", "ended.run", "ended.npz", "--overwrite").startswith(f"Wrote ended.npz: {where}\nloss ")
    assert output_of("probe", "ended.run", "weight_norm").splitlines()[-1].endswith(",")

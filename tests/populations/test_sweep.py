"""A sweep: its run files, its end by Ctrl-C, and what it refuses."""

import numpy as np
import pytest

import fnloop as fl
from fnloop.core.digest import same_bits
from fnloop.populations import members as members_module
from fnloop.populations import memory
from fnloop.populations import sweep as sweep_module
from fnloop.populations.lockstep import Lockstep
from fnloop.populations.progress import members_line

DATA = fl.datasets.iris()
BASE = fl.Trainer(model=fl.mlp([4, 3, 3]), loss="cross_entropy", batch_size=64)
MEMBERS = fl.grid(BASE, seed=range(2), lr=[0.01, 0.1, 0.001])


def sweep(trainers=MEMBERS, epochs=3, **options):
    return fl.sweep(trainers, DATA.train, DATA.validation, epochs=epochs, progress=False, **options)


def test_the_run_file_of_each_member_is_that_of_an_ordinary_run(tmp_path):
    """It verifies, recovers each state, forks, and resumes."""
    result = sweep(record=tmp_path / "new" / "runs")
    paths = sorted((tmp_path / "new" / "runs").iterdir())
    assert [path.name for path in paths] == [f"{i:04}.run" for i in range(6)]
    for trainer, fit, path in zip(MEMBERS, result, paths, strict=True):
        run = fl.open_run(path)
        assert run.trainer == trainer
        assert str(run.verify()) == "verified, 4 of 4"
        assert same_bits(run.state(3), fit.last)
        assert same_bits(run.best(), fit.best)
    run = fl.open_run(paths[4])
    run.fork(1, tmp_path / "fork.run", scheduler=0.5)
    resumed = run.resume(epochs=5, progress=False).last
    assert same_bits(resumed, fl.fit(MEMBERS[4], DATA.train, DATA.validation, epochs=5, progress=False).last)


def test_best_n_records_only_the_best_members(tmp_path):
    result = sweep(record=str(tmp_path / "best:2"))
    values = [fit.best.metrics["val_loss"] for fit in result]
    best = sorted(range(6), key=values.__getitem__)[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{i:04}.run" for i in best)
    for i in best:
        run = fl.open_run(tmp_path / f"{i:04}.run")
        assert same_bits(run.state(3), result[i].last)


def test_more_of_the_best_than_there_are_are_all(tmp_path):
    sweep(MEMBERS[:2], 1, record=tmp_path / "best:10")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("record", ["best:0", "best:", "best:x", "best:-1"])
def test_a_number_of_best_members_is_above_0(record, tmp_path):
    with pytest.raises(ValueError, match=r"record must end in best:N with N of at least 1, such as best:10, got '.*best:"):
        sweep(record=str(tmp_path / record))


def test_run_files_are_not_replaced(tmp_path):
    """Also that of a member of a kind that trains later; nothing is trained before."""
    (tmp_path / "0001.run").touch()
    with pytest.raises(fl.RunError, match=r"^record must be .* has 0001.run; give another folder"):
        sweep([BASE, BASE.replace(model=fl.mlp([4, 3]))], record=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["0001.run"]


def test_a_map_of_other_processes_gives_the_same_results():
    here, elsewhere = sweep(), sweep(map=map)
    assert all(same_bits(a.last, b.last) for a, b in zip(here, elsewhere, strict=True))


class Interrupt:
    """An epoch function that Ctrl-C ends at a number of calls."""

    def __init__(self, epoch, at):
        self.epoch, self.at, self.calls = epoch, at, 0

    def __call__(self, states):
        self.calls += 1
        if self.calls == self.at:
            raise KeyboardInterrupt
        return self.epoch(states)


@pytest.fixture
def interrupted(monkeypatch):
    """Make the population of a kind end by Ctrl-C in a given epoch: `interrupted(kind, epoch)`."""
    make, count = members_module.make_population_epoch, []

    def at(kind, number):
        def made(prepared, **options):
            count.append(kind)
            epoch = make(prepared, **options)
            return Interrupt(epoch, number) if len(count) == kind else epoch

        monkeypatch.setattr(members_module, "make_population_epoch", made)

    return at


def test_ctrl_c_ends_all_members_with_their_results_so_far(interrupted, tmp_path):
    interrupted(1, 3)
    result = sweep(epochs=9, record=tmp_path)
    assert [fit.stop_reason for fit in result] == ["interrupted"] * 6
    assert [fit.last.epoch for fit in result] == [2] * 6
    for i, trainer in enumerate(MEMBERS):
        assert same_bits(result[i].last, fl.fit(trainer, DATA.train, DATA.validation, epochs=2, progress=False).last)
        run = fl.open_run(tmp_path / f"{i:04}.run")
        assert same_bits(run.last, result[i].last)


def test_ctrl_c_keeps_the_results_of_the_kinds_before(interrupted):
    interrupted(2, 1)
    others = [BASE.replace(model=fl.mlp([4, 2, 3])), BASE.replace(model=fl.mlp([4, 7, 3]))]
    result = sweep([MEMBERS[0], *others])
    assert [fit.stop_reason for fit in result] == ["finished", "interrupted", "interrupted"]
    assert [fit.last.epoch for fit in result] == [3, 0, 0]
    assert same_bits(result[2].last, fl.init_state(others[1], DATA.train))
    assert result[2].metrics.keys() == result[0].metrics.keys()
    assert result.best() is result[0]
    assert list(result.table()["epochs"]) == [3, 0, 0]


def test_ctrl_c_before_an_epoch_is_finished_is_raised(interrupted):
    interrupted(1, 1)
    with pytest.raises(KeyboardInterrupt):
        sweep()


def test_ctrl_c_records_no_best_members(interrupted, tmp_path):
    interrupted(1, 2)
    with pytest.warns(fl.RecordingWarning, match="Ctrl-C ended the sweep before its best members were recorded"):
        assert sweep(record=tmp_path / "best:1")[0].stop_reason == "interrupted"
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_progress_is_shown_ends_all_members(monkeypatch):
    def show(states):
        if max((state.epoch for state in states.values()), default=0) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(sweep_module, "show_members", lambda total: show)
    result = fl.sweep(MEMBERS, DATA.train, epochs=9, progress=True)
    assert {(fit.stop_reason, fit.last.epoch) for fit in result} == {("interrupted", 2)}


def test_progress_counts_in_plain_words():
    """One member trains, two members train."""
    state = sweep(epochs=1)[0].last
    assert members_line({0: state}, 20).startswith("epoch  1/20: 1 member trains, lowest val_loss ")
    assert members_line({0: state, 1: state}, 20).startswith("epoch  1/20: 2 members train, lowest val_loss ")


@pytest.mark.parametrize(
    ("trainers", "error", "message"),
    [
        ([], ValueError, "trainers must have at least one trainer, got none"),
        (BASE, TypeError, "trainers must be several trainers, such as those of fl.grid, got Trainer"),
        ([BASE, 1], TypeError, r"trainers\[1\] must be a fl.Trainer, got 1"),
        ({"a": BASE}, TypeError, "trainers must be a list, as a sweep has no names"),
        ([BASE, BASE.replace(seed=1), BASE], ValueError, "trainers must all differ, but 2 equals 0, also in seed=0"),
        ([BASE, BASE.replace(model=fl.mlp([5, 3]))], ValueError, r"^trainers\[1\]: train: x must be of shape \(N, 5\)"),
        ([BASE, BASE.replace(model=fl.mlp([4, 2]))], ValueError, r"^trainers\[1\]: "),
    ],
)
def test_trainers_that_are_refused(trainers, error, message):
    with pytest.raises(error, match=message):
        sweep(trainers)


def test_a_metric_that_the_runs_do_not_produce_is_refused():
    with pytest.raises(ValueError, match=r"trainers\[0\]: .*val_acuracy"):
        sweep(monitor="val_acuracy")


def test_arguments_that_are_refused():
    for name, value in (("epochs", 0), ("map", 3), ("record", 3), ("preprocessing", "yes"), ("monitor", ["loss"])):
        with pytest.raises((TypeError, ValueError), match=rf"^(trainers\[0\]: )?{name} must"):
            sweep(**{"epochs": 1, name: value})


def test_more_members_than_memory_are_refused_before_anything_is_trained(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"6 keep about 0\.0 GiB of states, and 0\.0 GiB are available"):
        sweep()


def test_the_estimated_memory_is_that_of_the_states():
    trainer = BASE.replace(optimizer="adam", early_stopping=fl.EarlyStopping())
    fit = sweep([trainer])[0]
    arrays = [a for s in (fit.last, fit.best) for a in (s.params.vector, *s.optimizer.slots)]
    kept = sum(array.nbytes for array in [*arrays, fit.last.early_stopping.best_vector])
    assert memory.bytes_of(trainer) == kept


@pytest.mark.parametrize("text", ["", "MemAvailable", "MemFree: 3 kB", "MemAvailable: x kB"])
def test_memory_that_the_system_does_not_say_is_not_checked(text, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    assert memory.available_memory() is None
    (tmp_path / "meminfo").write_text(text)
    assert memory.available_memory() is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   5 kB\n")
    assert memory.available_memory() == 5 * 1024


def numbered(states):
    """The next number of each member."""
    return {member: state + 1 for member, state in states.items()}


class Number(int):
    """A state that is a number, and stops at 5."""

    stopped = property(lambda self: True if self >= 5 else None)

    def __add__(self, other):
        return Number(int(self) + other)


def test_streams_may_end_and_be_closed_at_any_time():
    """A closed stream leaves the population; the others continue."""
    generator = np.random.default_rng(0)
    for _ in range(50):
        calls = []

        def epoch(states, calls=calls):
            calls.append(set(states))
            return numbered(states)

        starts = generator.integers(0, 5, 4).tolist()
        lockstep = Lockstep(epoch, {i: Number(start) for i, start in enumerate(starts)})
        streams = {i: lockstep.stream(i) for i in range(4)}
        closes = generator.integers(0, 8, 4).tolist()
        read = {i: [] for i in range(4)}
        for turn in range(8):
            for i in list(streams):
                if turn == closes[i]:
                    streams.pop(i).close()
                    continue
                value = next(streams[i], None)
                if value is None:
                    del streams[i]
                else:
                    read[i].append(value)
        for i, start in enumerate(starts):
            assert read[i] == list(range(start, 6))[: closes[i]]
        assert not lockstep._current
        assert not lockstep._ahead
        assert all(calls)
        assert not any(closes[i] == 0 for members in calls for i in members)


def test_members_of_different_losses_have_no_best_one_by_their_loss():
    """But one by a metric. The repr says none, and the epoch of the best state is an integer."""
    result = sweep([BASE, BASE.replace(loss=fl.losses.SoftmaxCrossEntropy(label_smoothing=0.2))], 1)
    with pytest.raises(ValueError, match="metric must be stated, because the trainers have different losses"):
        result.best()
    with pytest.raises(ValueError, match="metric must not be 'loss'"):
        result.best("loss")
    with pytest.raises(TypeError, match="metric must be the name of a metric"):
        result.best(["loss"])
    assert result.best("val_accuracy") in result
    with pytest.raises(ValueError, match="monitor must be stated, because the trainers have different losses"):
        sweep(result.trainers, 1, record="no/such/best:1")
    assert "best" not in repr(result)
    assert str(result.table()["best_epoch"].dtype) == "Int64"


def test_members_that_monitor_different_metrics_have_no_best_one_unless_one_is_stated():
    result = sweep([BASE, BASE.replace(early_stopping=fl.EarlyStopping("val_accuracy"))], 1)
    with pytest.raises(ValueError, match="metric must be stated, because the trainers monitor different ones"):
        result.best()
    assert result.best("val_loss") in result


@pytest.mark.parametrize("record", ["", " ", "a\0b", True, b"runs", "FILE", "FILE/runs", "/proc/runs"])
def test_what_can_be_no_folder_of_run_files_is_refused(record, tmp_path):
    """With the name of the argument, also in a search, whose study then has no trial."""
    optuna = pytest.importorskip("optuna")
    (tmp_path / "file").touch()
    given = str(tmp_path / record.replace("FILE", "file")) if isinstance(record, str) and "FILE" in record else record
    with pytest.raises((TypeError, ValueError), match=r"^record must be (a folder|the path of a folder), "):
        sweep(record=given)
    study = optuna.create_study()
    with pytest.raises((TypeError, ValueError), match=r"^record must be (a folder|the path of a folder), "):
        fl.search(BASE, DATA.train, trials=1, epochs=1, study=study, record=given, lr=fl.spaces.uniform(0, 1))
    assert not study.trials


@pytest.mark.parametrize(("seeds", "name"), [(1, "0001.run"), (2, "0001-1.run"), (1, "0001.run-wal")])
def test_a_search_replaces_no_run_file(seeds, name, tmp_path):
    """Of a later trial either, and asks for no trial before."""
    optuna = pytest.importorskip("optuna")
    (tmp_path / name).touch()
    study = optuna.create_study()
    with pytest.raises(fl.RunError, match=f"^record must be .* has {name}; give another folder"):
        fl.search(BASE, DATA.train, trials=2, seeds=seeds, study=study, record=tmp_path, lr=fl.spaces.uniform(0, 1))
    assert not study.trials

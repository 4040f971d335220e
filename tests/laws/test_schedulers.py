"""Schedules equal their formulas; a plateau equals a brute-force computation from the whole history."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolz import accumulate, take

import fnloop as fl
from fnloop import schedulers as sch
from fnloop.schedulers import ConstantLR, CosineAnnealingLR, ExponentialLR, ReduceLROnPlateau, StepLR
from fnloop.testing import schedulers
from tests.strategies import dataset, histories

rates = st.floats(1e-8, 10)
closed = st.one_of(
    st.builds(ConstantLR, rates),
    st.builds(StepLR, rates, st.integers(1, 50), gamma=st.floats(0.01, 1)),
    st.builds(ExponentialLR, rates, gamma=st.floats(0.5, 1)),
    st.builds(lambda lr, n, share: CosineAnnealingLR(lr, n, eta_min=lr * share), rates, st.integers(1, 300), st.floats(0, 1)),
)

lengths, counts, shares = st.integers(1, 50), st.integers(0, 50), st.floats(0, 1)
single, composed = schedulers(max_parts=1), schedulers()


def formula(scheduler, t):
    """Return the documented formula in plain Python."""
    match scheduler:
        case ConstantLR():
            return scheduler.initial_lr
        case StepLR():
            return scheduler.initial_lr * scheduler.gamma ** (t // scheduler.step_size)
        case ExponentialLR():
            return scheduler.initial_lr * scheduler.gamma**t
        case CosineAnnealingLR():
            if t >= scheduler.T_max:
                return scheduler.eta_min
            wave = (1 + math.cos(math.pi * t / scheduler.T_max)) / 2
            return scheduler.eta_min + (scheduler.initial_lr - scheduler.eta_min) * wave


@given(closed, st.integers(0, 500))
def test_closed_forms_equal_their_formula(scheduler, t):
    """To 1e-12; the rate at an int is a float."""
    assert type(scheduler(t)) is float
    assert scheduler(t) == pytest.approx(formula(scheduler, t), rel=1e-12, abs=1e-300 if t < 400 else 1e-18)


@given(composed, st.lists(st.integers(0, 60), min_size=1, max_size=20))
def test_random_access_equals_step_by_step(scheduler, times):
    """To the bit: at one t, at many, and from the states."""
    states = list(take(61, accumulate(lambda state, _: scheduler.step(state), range(60), scheduler.init())))
    assert [states[t].lr for t in times] == [scheduler(t) for t in times] == scheduler(np.array(times)).tolist()
    assert [states[t].t for t in times] == times
    assert scheduler(np.array(times).reshape(1, -1)).shape == (1, len(times))


@given(closed)
def test_decays_start_at_the_initial_rate_and_never_rise(scheduler):
    """After its end, a cosine stays at its minimum."""
    lr = scheduler(np.arange(400))
    assert lr[0] == pytest.approx(scheduler.initial_lr, rel=1e-15)
    assert np.all(np.diff(lr) <= 1e-15 * lr[:-1])
    if isinstance(scheduler, CosineAnnealingLR):
        assert np.all(lr[scheduler.T_max :] == scheduler.eta_min)
        assert np.all(lr >= scheduler.eta_min)


@given(composed)
def test_rates_are_finite_and_not_negative(scheduler):
    """With phases of length zero and equal boundaries."""
    lr = scheduler(np.arange(200))
    assert np.all(np.isfinite(lr))
    assert np.all(lr >= 0)


T = np.arange(120)
kinds = st.sampled_from(["linear", "cos", "sqrt"])


@given(rates, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), shares, kinds)
def test_a_phase_of_length_zero_does_not_change_the_others(lr, rise, stable, decay, share, kind):
    """Each phase is the same with and without its neighbours (torchtitan#1010)."""

    def phases(rise, stable, decay):
        return sch.WarmupStableDecayLR(lr, rise, stable, decay, min_lr=lr * share, anneal_strategy=kind)

    whole, t = phases(rise, stable, decay)(T), np.arange(100)
    assert np.array_equal(phases(rise, stable, 0)(T)[: rise + stable], whole[: rise + stable])
    assert np.array_equal(phases(0, stable, decay)(t), whole[rise:][:100])
    without_stable = phases(rise, 0, decay)(T)
    assert np.array_equal(without_stable[:rise], whole[:rise])
    assert np.array_equal(without_stable[rise:][:100], whole[rise + stable :][:100])
    np.testing.assert_allclose(whole[rise : rise + stable], lr, rtol=1e-15)
    assert whole[rise + stable + decay] == lr * share
    assert np.array_equal(sch.OneCycleLR(lr, 20, pct_start=0.0)(T)[1:], sch.OneCycleLR(lr, 20, pct_start=0.05)(T)[1:])
    assert np.array_equal(sch.warmup(sch.StepLR(lr, 3), 0)(T), sch.StepLR(lr, 3)(T))


sizes = st.floats(-300, 300).map(lambda exponent: 10.0**exponent)


@given(sizes, sizes, st.integers(2, 30))
def test_schedules_reach_both_ends_exactly(a, b, n):
    """At any magnitude: a last rate of 1e-20 is not lost in the rounding of a first rate of 1."""
    low, high = min(a, b), max(a, b)
    for scheduler in (
        sch.LinearLR(1.0, total_iters=n, start_factor=a, end_factor=b),
        sch.PolynomialLR(a, n, power=1.0, end_lr=b),
        sch.PiecewiseLR([0, n], [a, b]),
        sch.PiecewiseLR([0, n], [a, b], interpolate="cos"),
    ):
        lr = scheduler(np.arange(n + 3))
        assert lr[0] == a
        assert np.all(lr[n:] == b)
        assert np.all((lr >= low) & (lr <= high))
    line = sch.LinearLR(1.0, total_iters=n, start_factor=a, end_factor=b)(np.arange(n + 1))
    exact = [float(Fraction(a) + (Fraction(b) - Fraction(a)) * Fraction(t, n)) for t in range(n + 1)]
    np.testing.assert_allclose(line, exact, rtol=1e-14)
    ratio = max(1.0, min(high / low, 1e250))
    cycle = sch.OneCycleLR(1.0, n + 1, pct_start=0.0, div_factor=1.0, final_div_factor=ratio)
    assert cycle(0) == 1.0
    assert cycle(n) == 1.0 / ratio


@given(composed, composed, st.integers(0, 50), st.integers(0, 50), lengths, rates)
def test_algebra_of_composition(a, b, first, more, period, factor):
    """Products commute and 1 is neutral; joins associate; repetitions are periodic; clamping is idempotent."""
    second = first + more
    assert np.array_equal(sch.times(a, b)(T), sch.times(b, a)(T))
    assert np.array_equal(sch.times(a, 1)(T), a(T))
    np.testing.assert_allclose(sch.times(a, factor)(T), a(T) * factor, rtol=1e-15)
    assert np.array_equal(sch.join([a], [])(T), a(T))
    flat, nested = sch.join([a, b, a], [first, second]), sch.join([a, sch.join([b, a], [more])], [first])
    assert np.array_equal(flat(T), nested(T))
    assert np.array_equal(sch.repeat(a, period)(T + period), sch.repeat(a, period)(T))
    assert np.array_equal(sch.repeat(a, period)(T[:period]), a(T[:period]))
    once = sch.clamp(a, 0.01, 0.1)
    assert np.array_equal(sch.clamp(once, 0.01, 0.1)(T), once(T))
    assert np.array_equal(once(T), np.clip(a(T), 0.01, 0.1))
    assert np.array_equal(sch.clamp(a)(T), a(T))


@given(st.lists(single, min_size=4, max_size=24))
def test_long_products_multiply_in_one_order(parts):
    """Step by step, at one t, and at many: the same bits."""
    product = sch.times(*parts)
    states = list(take(9, accumulate(lambda state, _: product.step(state), range(9), product.init())))
    assert [state.lr for state in states] == [product(t) for t in range(9)] == product(np.arange(9)).tolist()


@given(composed.filter(lambda a: a(0) > 0), counts, shares)
def test_a_warm_up_leads_to_the_schedule(scheduler, length, start):
    """It starts at `start_factor` and never falls; after it the schedule is the same, only later."""
    warm = sch.warmup(scheduler, length, start_factor=start)
    assert np.array_equal(warm(T + length), scheduler(T))
    rise = warm(np.arange(length + 1))
    assert np.all(np.diff(rise) >= -1e-15 * rise[-1])
    assert rise[0] == pytest.approx(scheduler(0) * (start if length else 1), rel=1e-12, abs=1e-300)


@given(histories, composed)
def test_a_plateau_multiplies_any_schedule(history, scheduler):
    """The rate is the product of both; the plateau's state is the same as alone."""
    plateau = ReduceLROnPlateau(1.0, "m", mode="min", patience=1)
    both = sch.times(plateau, scheduler)
    together, alone = both.init(), plateau.init()
    for t, value in enumerate(history, 1):
        together, alone = both.step(together, {"m": value}), plateau.step(alone, {"m": value})
        assert together.lr == alone.lr * scheduler(t)
        assert fl.same_bits(together.parts[0], alone)


@pytest.mark.parametrize(
    ("scheduler", "rates_"),
    [
        (sch.LinearLR(1.0, total_iters=0, start_factor=0.5, end_factor=2.0), [2, 2, 2]),
        (sch.PolynomialLR(1.0, 0), [0, 0, 0]),
        (sch.MultiStepLR(1.0, [0, 2, 2], gamma=0.5), [0.5, 0.5, 0.125]),
        (sch.WarmupStableDecayLR(1.0, 0, 0, 0, min_lr=0.25), [0.25, 0.25, 0.25]),
        (sch.WarmupStableDecayLR(1.0, 2, 0, 2), [0, 0.5, 1, 0.5, 0, 0]),
        (sch.PiecewiseLR([1, 1, 3], [1.0, 2.0, 4.0]), [1, 2, 3, 4, 4]),
        (sch.OneCycleLR(1.0, 1), [1, 1 / 25 / 1e4]),
        (sch.CyclicLR(1.0, 3.0, step_size_up=2, step_size_down=1), [1, 2, 3, 1, 2, 3]),
        (
            sch.CosineAnnealingWarmRestarts(1.0, 2, T_mult=2, decay=0.5),
            [1, 0.5, 0.5, 0.4267766952966369, 0.25, 0.07322330470336313, 0.25],
        ),
        (sch.join([sch.ConstantLR(1.0), sch.ConstantLR(2.0), sch.ConstantLR(3.0)], [1, 1]), [1, 3, 3]),
        (sch.join([sch.ConstantLR(1.0), sch.ConstantLR(2.0)], [0]), [2, 2]),
        (sch.LambdaLR(2.0, lambda t: 1 / (1 + t)), [2, 1, 2 / 3]),
        (sch.InverseTimeLR(1.0, decay_rate=0.5), [1, 1 / 1.5, 0.5]),
        (sch.InverseSqrtLR(1.0, timescale=2.0), [1, (2 / 3) ** 0.5, 0.5**0.5]),
    ],
)
def test_golden_tables_of_schedules(scheduler, rates_):
    """Starts, ends, and phases of length zero."""
    assert scheduler(np.arange(len(rates_))).tolist() == pytest.approx(rates_, rel=1e-12, abs=1e-15)


def test_warm_restarts_start_exactly():
    """The rate at the start of each cycle is the peak, up to t = 10**9: no rounding misses a start."""
    for factor in (2, 3, 5, 10):
        scheduler = sch.CosineAnnealingWarmRestarts(0.1, 3, T_mult=factor)
        starts = [3 * (factor**n - 1) // (factor - 1) for n in range(9)]
        assert scheduler(np.array(starts)).tolist() == [0.1] * 9
        assert all(scheduler(start - 1) < 0.1 for start in starts[1:])


def test_a_run_with_a_composed_schedule_continues_from_a_file(tmp_path):
    """A plateau times a cosine with warm-up: trainer and state are saved, and the rates are the product of the parts'."""
    scheduler = sch.times(sch.warmup(CosineAnnealingLR(0.1, 10), 3), ReduceLROnPlateau(1.0, "loss", patience=1, min_delta=9.0))
    trainer = fl.Trainer(model=fl.mlp([3, 1]), loss=fl.losses.BinaryCrossEntropy(), scheduler=scheduler, batch_size=4)
    data = dataset("binary", 12)
    whole = list(take(7, fl.epochs(trainer, data)))
    assert fl.history(whole)["lr"] == pytest.approx([scheduler.schedulers[0](t) * 0.5 ** max(0, t - 1) for t in range(6)])
    fl.save(whole[2], tmp_path / "state.npz", trainer=trainer)
    checkpoint = fl.load_checkpoint(tmp_path / "state.npz")
    again = list(take(5, fl.epochs(checkpoint.trainer, data, start=checkpoint.state)))
    assert fl.same_bits(again, whole[2:])
    with pytest.raises(ValueError, match=r"monitors metric 'val_loss'.*no validation data"):
        fl.epochs(fl.Trainer(model=trainer.model, loss=trainer.loss, scheduler=sch.times(2, ReduceLROnPlateau(1.0))), data)
    with pytest.raises(TypeError, match="ReduceLROnPlateau has no closed form"):
        scheduler(3)


def brute_force(scheduler, history):
    """Return rates, reductions, waits and cooldowns, computed from positions in the history."""
    sign = 1 if scheduler.mode == "min" else -1
    rows, lr, reductions, since, cold, best = [], scheduler.initial_lr, 0, 0, 0, math.inf
    for i, value in enumerate(history):
        if sign * value < best - scheduler.min_delta:
            best, since = sign * value, max(i + 1, cold)
        elif i + 1 - since >= scheduler.patience:
            lowered = max(lr * scheduler.factor, scheduler.min_lr)
            cold = i + 1 + (scheduler.cooldown if lowered < lr else 0)
            reductions, lr, since = reductions + (lowered < lr), lowered, cold
        rows.append((lr, reductions, max(0, i + 1 - since), max(0, cold - i - 1)))
    return rows


plateaus = st.builds(
    ReduceLROnPlateau,
    st.floats(1e-6, 1),
    metric=st.just("m"),
    mode=st.sampled_from(["min", "max"]),
    factor=st.floats(0.1, 1),
    patience=st.integers(1, 5),
    min_delta=st.sampled_from([0.0, 1e-4, 0.5]),
    min_lr=st.sampled_from([0.0, 1e-8, 1e-6]),
    cooldown=st.integers(0, 3),
)


@given(plateaus, histories)
def test_a_plateau_equals_brute_force(scheduler, history):
    """For any values, NaN and infinities included."""
    states = list(accumulate(lambda state, value: scheduler.step(state, {"m": value}), history, scheduler.init()))[1:]
    assert [(s.lr, s.reductions, s.wait, s.cooldown) for s in states] == brute_force(scheduler, history)
    assert all(state.lr >= scheduler.min_lr for state in states)
    assert [state.t for state in states] == list(range(1, len(history) + 1))


@pytest.mark.parametrize(
    ("patience", "history", "rates_after"),
    [
        (1, [1.0, 1.0, 1.0, 0.5, 0.5], [1.0, 0.5, 0.25, 0.25, 0.125]),
        (2, [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5, 0.25]),
        (2, [1.0, 0.99995, 0.9999, 0.9, 0.95, 0.95], [1.0, 1.0, 0.5, 0.5, 0.5, 0.25]),
        (3, [math.nan, math.nan, math.nan, 1.0, math.inf], [1.0, 1.0, 0.5, 0.5, 0.5]),
    ],
)
def test_golden_tables_of_the_plateau(patience, history, rates_after):
    """A reduction when the wait reaches the patience, which resets the wait (pytorch#2545, #11305, keras#3991)."""
    scheduler = ReduceLROnPlateau(1.0, "m", mode="min", patience=patience)
    states = accumulate(lambda state, value: scheduler.step(state, {"m": value}), history, scheduler.init())
    assert [state.lr for state in states][1:] == rates_after


@pytest.mark.parametrize(
    ("cooldown", "rates_after"),
    [
        (0, [1.0, 0.5, 0.25, 0.125, 0.125, 0.0625, 0.03125, 0.015625]),
        (1, [1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]),
        (2, [1.0, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]),
    ],
)
def test_epochs_of_a_cooldown_do_not_count(cooldown, rates_after):
    """After a reduction, `cooldown` epochs do not count as waiting; an improvement among them counts, as in PyTorch."""
    scheduler = ReduceLROnPlateau(1.0, "m", mode="min", patience=1, cooldown=cooldown)
    history = [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]
    states = accumulate(lambda state, value: scheduler.step(state, {"m": value}), history, scheduler.init())
    assert [state.lr for state in states][1:] == rates_after


def test_a_plateau_stays_at_its_minimum():
    """At `min_lr` no further reduction happens or is counted."""
    scheduler = ReduceLROnPlateau(1.0, "m", mode="min", patience=1, min_lr=0.3)
    states = list(accumulate(lambda state, _: scheduler.step(state, {"m": 1.0}), range(9), scheduler.init()))
    assert [state.lr for state in states[:5]] == [1.0, 1.0, 0.5, 0.3, 0.3]
    assert states[-1].reductions == 2


@pytest.mark.parametrize("every", ["epoch", "step"])
@pytest.mark.parametrize("name", ["constant", "step", "exponential", "cosine"])
def test_a_run_trains_at_the_rates_of_its_schedule(name, every):
    """Epoch (or step) 0 trains at lr(0), without an offset of one; the history has the rates that were used."""
    parameters = {"step": {"step_size": 2}, "cosine": {"T_max": 4}}.get(name, {})
    scheduler = fl.get_scheduler(name, 0.5, **parameters)
    trainer = fl.Trainer(
        model=fl.mlp([3, 1]),
        loss=fl.losses.BinaryCrossEntropy(),
        optimizer=fl.optimizers.SGD(),
        scheduler=scheduler,
        schedule_every=every,
        batch_size=4,
    )
    data = dataset("binary", 12)
    if every == "epoch":
        states = list(take(7, fl.epochs(trainer, data)))
        assert fl.history(states)["lr"] == [scheduler(t) for t in range(6)]
        assert [state.lr for state in states] == [scheduler(t) for t in range(7)]
    else:
        states = list(take(7, fl.steps(trainer, data)))
        assert [state.lr for state in states] == [scheduler(t) for t in range(7)]
        change = fl.make_step(trainer)(states[3], fl.Batch(data.x[:4], data.y[:4])).params.vector - states[3].params.vector
        assert np.any(change != 0)


def test_get_scheduler_by_name_in_any_case():
    """Five names; the error for any other lists them."""
    kinds = [ConstantLR, StepLR, ExponentialLR, ReduceLROnPlateau, CosineAnnealingLR]
    names = ["CONSTANT", "Step", "exponential", "PlateaU", "cosine"]
    extra = [{}, {"step_size": 3}, {}, {}, {"T_max": 5}]
    assert [type(fl.get_scheduler(name, 0.1, **more)) for name, more in zip(names, extra, strict=True)] == kinds


@pytest.mark.parametrize(
    ("formula", "got"), [(lambda t: 0.1, "0.1"), (lambda t: None, "None"), (lambda t: np.array([0.1, 0.2]), r"\(2,\)")]
)
def test_a_formula_returns_one_rate_for_each_t(formula, got):
    """The error has the schedule and the value, at the start of a run."""
    schedule = fl.frozen(type("Constant", (sch.ClosedForm,), {"formula": lambda self, t: formula(t)}))()
    with pytest.raises(ValueError, match=rf"formula of Constant\(\) must return an array of t's shape \(1,\), got .*{got}"):
        schedule.init()


def test_a_formula_must_be_defined():
    """The error has the class and the arguments."""
    schedule = fl.frozen(type("Nothing", (sch.ClosedForm,), {}))()
    with pytest.raises(NotImplementedError, match=r"Nothing must define formula\(t\)"):
        schedule.init()

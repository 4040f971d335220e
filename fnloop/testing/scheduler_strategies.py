"""Hypothesis strategies for schedules of every kind, and for compositions of them."""

from typing import Any

from hypothesis import strategies as st

from fnloop import schedulers as sch
from fnloop.core.checks import integer

_lengths, _counts, _shares = st.integers(1, 50), st.integers(0, 50), st.floats(0, 1)
_rates = st.floats(1e-8, 10)


def schedulers(
    *, initial_lr: st.SearchStrategy[float] = _rates, metric: str | None = None, max_parts: int = 3
) -> st.SearchStrategy[Any]:
    """Return a strategy for schedules with parameters of any size, and for compositions of them.

    Args:
        initial_lr: A strategy for learning rates, above 0.
        metric: Name of a metric, to include plateaus that read it; by default every schedule has a closed form.
        max_parts: The largest number of schedules in a composition; 1 for no compositions.

    Raises:
        TypeError: If `max_parts` is not an integer.
        ValueError: If `max_parts` is below 1.

    Examples:
        >>> from hypothesis import given
        >>> @given(schedulers(max_parts=1))
        ... def test_is_never_negative(scheduler):
        ...     assert scheduler(7) >= 0
        >>> test_is_never_negative()

    See Also:
        `fnloop.testing.check_scheduler`
    """
    single = st.one_of(*_closed_forms(initial_lr), *([] if metric is None else [_plateaus(initial_lr, metric)]))
    if integer(1)("max_parts", max_parts) == 1:
        return single
    return st.recursive(single, lambda parts: st.one_of(*_compositions(parts, initial_lr)), max_leaves=max_parts)


def _closed_forms(rates: Any) -> list[st.SearchStrategy[Any]]:
    return [
        st.builds(sch.ConstantLR, rates),
        st.builds(sch.StepLR, rates, st.integers(1, 50), gamma=st.floats(0.01, 1)),
        st.builds(sch.ExponentialLR, rates, gamma=st.floats(0.5, 1)),
        st.builds(lambda lr, n, share: sch.CosineAnnealingLR(lr, n, eta_min=lr * share), rates, st.integers(1, 300), _shares),
        st.builds(sch.MultiStepLR, rates, st.lists(_counts, max_size=4).map(sorted), gamma=st.floats(0.01, 1)),
        st.builds(sch.InverseTimeLR, rates, decay_rate=st.floats(0, 10)),
        st.builds(sch.InverseSqrtLR, rates, timescale=st.floats(0.1, 100)),
        st.builds(
            sch.LinearLR, rates, total_iters=_counts, start_factor=st.floats(0, 3), end_factor=st.floats(0, 3)
        ),
        st.builds(sch.PolynomialLR, rates, _counts, power=st.floats(0.1, 3), end_lr=rates),
        st.builds(
            lambda lr, n, m, share, decay: sch.CosineAnnealingWarmRestarts(lr, n, T_mult=m, eta_min=lr * share, decay=decay),
            rates, _lengths, st.integers(1, 4), _shares, st.floats(0.1, 1),
        ),
        st.builds(
            lambda lr, more, **options: sch.CyclicLR(lr, lr + more, **options),
            rates, _shares, step_size_up=_lengths, step_size_down=_lengths,
            mode=st.sampled_from(["triangular", "triangular2", "exp_range"]), gamma=st.floats(0.5, 1),
        ),
        st.builds(sch.OneCycleLR, rates, _lengths, pct_start=_shares, anneal_strategy=st.sampled_from(["cos", "linear"])),
        st.builds(
            lambda lr, a, b, c, share, kind: sch.WarmupStableDecayLR(lr, a, b, c, min_lr=lr * share, anneal_strategy=kind),
            rates, _counts, _counts, _counts, _shares, st.sampled_from(["linear", "cos", "sqrt"]),
        ),
        st.lists(st.tuples(_counts, rates), min_size=1, max_size=4).flatmap(
            lambda points: st.builds(
                sch.PiecewiseLR,
                st.just(sorted(t for t, _ in points)),
                st.just([value for _, value in points]),
                interpolate=st.sampled_from(["linear", "cos", "previous"]),
            )
        ),
        st.builds(lambda lr: sch.LambdaLR(lr, abs), rates),
    ]  # fmt: skip


def _plateaus(rates: Any, metric: str) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda lr, share, **options: sch.ReduceLROnPlateau(lr, metric, min_lr=lr * share, **options),
        rates,
        st.sampled_from([0.0, 0.01, 1.0]),
        mode=st.sampled_from(["min", "max"]),
        factor=st.floats(0.1, 1),
        patience=st.integers(1, 5),
        min_delta=st.sampled_from([0.0, 1e-4, 0.5]),
        cooldown=st.integers(0, 3),
    )


def _compositions(parts: Any, rates: Any) -> list[st.SearchStrategy[Any]]:
    return [
        st.builds(sch.times, parts, parts),
        st.builds(sch.times, parts, rates),
        st.builds(sch.warmup, parts.filter(lambda part: part.init().lr > 0), _counts, start_factor=_shares),
        st.builds(sch.repeat, parts, _lengths),
        st.builds(sch.clamp, parts, st.just(0.01), st.just(0.02)),
        st.lists(parts, min_size=1, max_size=3).flatmap(
            lambda several: st.builds(
                sch.join,
                st.just(several),
                st.lists(_counts, min_size=len(several) - 1, max_size=len(several) - 1).map(sorted),
            )
        ),
    ]

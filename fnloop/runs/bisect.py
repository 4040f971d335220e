"""Binary search over the steps of a run, which prefers the ends of epochs where that costs no extra evaluation."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from fnloop.runs.replay import Replay


def bisect(replay: Replay, predicate: Callable[[Any], object]) -> Any:
    """Return the state at the first step for which a predicate holds.

    Args:
        replay: The run.
        predicate: A function of a state, which holds for the last state and not for the first.

    Raises:
        ValueError: If the predicate holds for the first state, or does not hold for the last.
    """
    rows = replay.reader.rows()
    if predicate(replay.at(0)):
        raise ValueError(
            f"predicate holds for the first state already, of epoch {rows[0].epoch}; use 'epoch >= n and ...' to search from n"
        )
    if not predicate(replay.at(len(rows) - 1)):
        raise ValueError(f"predicate does not hold for the last state, of epoch {rows[-1].epoch}: there is no step to find")
    lengths = [max(1, b.step - a.step) if replay.has_steps else 1 for a, b in pairwise(rows)]

    def state_at(epoch: int, step: int) -> Any:
        return replay.at(epoch + 1) if step == lengths[epoch] else replay.after_batches(epoch, step)

    return state_at(*first_true(lengths, lambda epoch, step: bool(predicate(state_at(epoch, step)))))


def first_true(lengths: Sequence[int], holds: Callable[[int, int], bool]) -> tuple[int, int]:
    """Return the first step at which a predicate holds, if it does not hold before the first step and holds after the last.

    The predicate is evaluated at most ⌈log2 n⌉ times for n steps. If it changes more than once, one of the steps at which it
    starts to hold is returned.

    Args:
        lengths: The number of steps of each epoch, each at least 1.
        holds: The predicate of an epoch, from 0, and a step within it, from 1.

    Returns:
        The epoch, from 0, and the step within it, from 1.

    Examples:
        >>> first_true([4, 4, 4], lambda epoch, step: (epoch, step) >= (1, 3))
        (1, 3)
    """
    ends = list(accumulate(lengths))
    low, high = 0, ends[-1]  # the predicate does not hold after `low` steps, and holds after `high`
    while high - low > 1:
        middle = _split(low, high, ends)
        low, high = (low, middle) if holds(*_epoch_and_step(middle, ends)) else (middle, high)
    return _epoch_and_step(high, ends)


def _split(low: int, high: int, ends: Sequence[int]) -> int:
    """Return the end of an epoch where that needs no more evaluations on either side than halving, else the middle."""
    most = 1 << ((high - low - 1).bit_length() - 1)  # the largest power of two below high - low
    middle = (low + high) // 2
    next_end = bisect_left(ends, middle)
    nearest = [
        end
        for end in ends[max(0, next_end - 1) : next_end + 1]
        if max(low + 1, high - most) <= end <= min(high - 1, low + most)
    ]
    return min(nearest, key=lambda end: abs(end - middle), default=middle)


def _epoch_and_step(steps: int, ends: Sequence[int]) -> tuple[int, int]:
    """Return the epoch in which a number of steps ends, and the step within it."""
    epoch = bisect_left(ends, steps)
    return epoch, steps - (ends[epoch - 1] if epoch else 0)

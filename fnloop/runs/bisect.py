"""Binary search over the steps of a run, which asks at the ends of epochs as long as that costs no question more."""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from fnloop.runs.replay import Replay


def bisect(replay: Replay, asked: Callable[[Any], Any]) -> Any:
    """The state at the first step for which a predicate holds.

    Raises: ValueError: if it holds for the first state already, or does not hold for the last.
    """
    rows = replay.reader.rows()
    if asked(replay.at(0)):
        raise ValueError(
            f"predicate holds for the first state already, of epoch {rows[0].epoch}; 'epoch >= n and ...' asks from n on"
        )
    if not asked(replay.at(len(rows) - 1)):
        raise ValueError(f"predicate does not hold for the last state, of epoch {rows[-1].epoch}: there is no step to find")
    lengths = [max(1, b.step - a.step) if replay.reader.manifest.trainer else 1 for a, b in pairwise(rows)]

    def there(epoch: int, step: int) -> Any:
        return replay.at(epoch + 1) if step == lengths[epoch] else replay.within(epoch, step)

    return there(*first_true(lengths, lambda epoch, step: bool(asked(there(epoch, step)))))


def first_true(lengths: Sequence[int], ask: Callable[[int, int], bool]) -> tuple[int, int]:
    """Where a predicate first holds that does not hold before the first step and holds behind the last one.

    Of n steps it asks at most ⌈log2 n⌉ times, if the predicate changes once.

    Args:
        lengths: the number of steps of each epoch, each at least 1.
        ask: called with an epoch and a number of its steps, from 1 to all of them.
    Returns: the epoch, and the step within it, from 1.
    """
    ends = list(accumulate(lengths))
    low, high = 0, ends[-1]  # it does not hold behind `low` steps, and holds behind `high`
    while high - low > 1:
        middle = _split(low, high, ends)
        low, high = (low, middle) if ask(*_place(middle, ends)) else (middle, high)
    return _place(high, ends)


def _split(low: int, high: int, ends: Sequence[int]) -> int:
    """An epoch's end in between that leaves each side as many questions as halving would, or else the middle."""
    most = 1 << ((high - low - 1).bit_length() - 1)  # the largest power of two below high - low
    middle = (low + high) // 2
    there = [end for end in ends if low < end < high and end - low <= most and high - end <= most]
    return min(there, key=lambda end: abs(end - middle), default=middle)


def _place(steps: int, ends: Sequence[int]) -> tuple[int, int]:
    epoch = next(i for i, end in enumerate(ends) if end >= steps)
    return epoch, steps - (ends[epoch - 1] if epoch else 0)

"""Arguments that name states: an epoch, a step, a range of epochs, `best` and `last`."""

from typing import Any

from fnloop.core.formatting import short
from fnloop.runs.run import Run


def parse_epoch(run: Run, text: str) -> int:
    """Return the epoch that an argument names: a number, `best` or `last`.

    Args:
        run: The run.
        text: The argument.

    Raises:
        ValueError: If the text is something else.
    """
    if text == "last":
        return run.rows[-1].epoch
    if text == "best":
        return int(run.best().epoch)
    return _parse_count("EPOCH", text, "an epoch such as 12, best or last", text)


def parse_state(run: Run, text: str, step: int | None = None) -> Any:
    """Return the state that an argument names: `12`, `12:350`, `:350`, `best` or `last`.

    Args:
        run: The run.
        text: An epoch, or an epoch and a step; empty if the step alone names the state.
        step: The step of `--step`, if given.

    Raises:
        ValueError: If the text is something else, or the run has no state of that epoch and step.
    """
    epoch, colon, step_text = text.partition(":")
    if colon and step is not None:
        raise ValueError(f"--step cannot be combined with a step in the argument, got {short(text)}")
    if colon:
        step = _parse_count("the state", step_text, "an epoch, or an epoch and a step, such as 12 or 12:350", text)
    if step is not None and not epoch:
        return run.state(step=step)
    if step is None and epoch == "last":
        return run.last
    return run.state(parse_epoch(run, epoch), step)


def parse_epochs(run: Run, text: str | None) -> list[int] | None:
    """Return the epochs that `--epochs` names: `3:7` with both ends, `3:`, `:7` or `5`; None for None.

    Args:
        run: The run.
        text: The option, or None.

    Raises:
        ValueError: If the text is something else, or the run lacks one of the epochs.
    """
    if text is None:
        return None
    first, last = run.rows[0].epoch, run.rows[-1].epoch
    start_text, colon, stop_text = text.partition(":")
    wanted = "epochs such as 3:7, 3:, :7 or 5"
    start = _parse_count("--epochs", start_text, wanted, text) if start_text or not colon else first
    stop = _parse_count("--epochs", stop_text, wanted, text) if stop_text else (last if colon else start)
    if not first <= start <= stop <= last:
        raise ValueError(f"--epochs must be an ascending range within {first}:{last}, got {short(text)}")
    return list(range(start, stop + 1))


def _parse_count(name: str, digits: str, wanted: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > 18:
        raise ValueError(f"{name} must be {wanted}, got {short(text)}")
    return int(digits)

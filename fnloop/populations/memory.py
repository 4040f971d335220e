"""The memory that a sweep keeps, estimated before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

from fnloop.training.trainer import Trainer

MEMINFO = Path("/proc/meminfo")
GIB = 1 << 30


def check_memory(trainers: Sequence[Trainer], runs: int = 1) -> None:
    """Check that the last and the best states of all members fit into the memory that is available, where that is known.

    Args:
        trainers: The trainers.
        runs: The number of members of each. Default: `1`.

    Raises:
        ValueError: If they do not fit. The message has both figures.
    """
    members, needed, free = runs * len(trainers), runs * sum(map(bytes_of, trainers)), available_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"trainers must fit into memory together, {members:,} keep about {needed / GIB:,.1f} GiB of states, and "
            f"{free / GIB:,.1f} GiB are available; train them in several sweeps, or record them and keep what is needed"
        )


def bytes_of(trainer: Trainer) -> int:
    """Return the bytes of a member's arrays that a sweep keeps: parameters and slots of its last and of its best state.

    Args:
        trainer: The trainer of the member.
    """
    slots = sum(len(part.slots) for part in trainer.optimizer.parts)
    keeps_best = trainer.early_stopping is not None and trainer.early_stopping.restore_best
    return (2 * (1 + slots) + keeps_best) * trainer.model.size * (4 if trainer.dtype == "float32" else 8)


def available_memory() -> int | None:
    """Return the bytes of memory that programs can still take; None if the system does not say so."""
    try:
        lines = dict(line.split(":") for line in MEMINFO.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None

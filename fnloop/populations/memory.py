"""The memory that a sweep keeps, estimated before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

from fnloop.training.trainer import Trainer

MEMINFO = Path("/proc/meminfo")
GIB = 1 << 30
OF_MEMBER = 4096  # bytes of the objects of a member besides its arrays, as measured: 5 to 8 thousand with the allocator's
OF_TRAINER = 256  # of a trainer that shares its parts with another


def check_memory(trainers: Sequence[Trainer], runs: int = 1) -> None:
    """Check that the last and the best states of all members fit into the memory that is available, where that is known.

    Args:
        trainers: The trainers.
        runs: The number of members of each. Default: `1`.

    Raises:
        ValueError: If they do not fit. The message has both figures.
    """
    members, free = runs * len(trainers), available_memory()
    needed = runs * sum(map(bytes_of, trainers)) + members * OF_MEMBER
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


def check_number(n: int, name: str) -> None:
    """Check that a list of trainers fits into the memory that is available, where that is known.

    Args:
        n: The number of trainers.
        name: What has the number, for the error.

    Raises:
        ValueError: If they do not fit.
    """
    free = available_memory()
    if free is not None and n * OF_TRAINER > free:
        raise ValueError(
            f"{name} must be trainers that fit into memory, {n:,} take at least {n * OF_TRAINER / GIB:,.1f} GiB, and "
            f"{free / GIB:,.1f} GiB are available"
        )


def available_memory() -> int | None:
    """Return the bytes of memory that programs can still take; None if the system does not say so."""
    try:
        lines = dict(line.split(":") for line in MEMINFO.read_text(encoding="ascii").splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None

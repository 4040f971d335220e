"""Flip each bit of a small run file in turn, and read everything in the file.

    python benchmarks/flips.py --stride 1 --share 1/2

After each flip, every state, the history and the rows are read. Each result must have the same bits as before the flip, or
be a `FnloopError`.
"""

import argparse
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from toolz import take

import fnloop as fl

EPOCHS = 3
SECONDS = 20  # time limit for reading the file after a flip


def small_run(path: Path, epochs: int = EPOCHS, snapshot_every: int | None = 2) -> None:
    """Record a run file of a few pages."""
    x = np.random.default_rng(0).standard_normal((8, 2)).astype(np.float32)
    data = fl.Dataset(x, (x.sum(1) > 0).astype(np.int64))
    trainer = fl.Trainer(
        model=fl.mlp([2, 2, 1]),
        loss=fl.losses.BinaryCrossEntropy(),
        optimizer=fl.optimizers.Adam(),
        scheduler=fl.schedulers.ReduceLROnPlateau(0.01, metric="val_loss", factor=0.5, patience=5),
        early_stopping=fl.EarlyStopping("val_loss", patience=100),
        batch_size=3,
        seed=1,
    )
    stream = take(epochs + 1, fl.epochs(trainer, data, data))
    fl.last(fl.record(path, trainer, data, data, stream, snapshot_every=snapshot_every))


def answers(path: Path) -> Iterator[Any]:
    """Yield everything in a file: each result, or the error in its place.

    Raises:
        Exception: An error that is not a `FnloopError`.
    """
    try:
        run = fl.open_run(path)
    except fl.FnloopError as error:
        yield error
        return
    for read in (
        lambda: [row._replace(fields=row.fields.hex()) for row in run.rows],
        lambda: run.history,
        lambda: (run.trainer, run.train, run.validation),
        *(lambda epoch=epoch: run.state(epoch) for epoch in range(EPOCHS + 1)),
        lambda: run.last,
        lambda: run.state(1, 5),
    ):
        try:
            yield fl.digest(read())
        except fl.FnloopError as error:
            yield error


def judge(path: Path, truth: list[Any]) -> str:
    """Return the result of damage: "refused" at once, "refused in part", or "unchanged".

    Raises:
        AssertionError: If a result is wrong.
        Exception: An error that is not a `FnloopError`.
    """
    found = list(answers(path))
    errors = [answer for answer in found if isinstance(answer, Exception)]
    if len(found) == 1 and errors:
        return "refused"
    for answer, true in zip(found, truth, strict=True):
        assert isinstance(answer, Exception) or answer == true, "a result is wrong"
    return "refused in part" if errors else "unchanged"


def flip_all(path: Path, flipped: Path, stride: int = 1, first: int = 0) -> Counter[str]:
    """Flip each stride-th bit of `flipped`, the run file or its log, and count the results.

    Raises:
        AssertionError: If a result is wrong, or reading takes too long.
    """
    truth = list(answers(path))
    assert not any(isinstance(answer, Exception) for answer in truth)
    whole, siblings = flipped.read_bytes(), {item: item.read_bytes() for item in path.parent.glob(f"{path.name}*")}
    counts: Counter[str] = Counter()
    signal.signal(signal.SIGALRM, _late)
    for bit in range(first, 8 * len(whole), stride):
        for item, content in siblings.items():
            if item == flipped or item != path:
                item.write_bytes(content)
        byte = whole[bit // 8] ^ 1 << bit % 8
        with open(flipped, "r+b") as file:
            file.seek(bit // 8)
            file.write(bytes([byte]))
        signal.alarm(SECONDS)
        try:
            counts[judge(path, truth)] += 1
        except Exception as error:
            raise AssertionError(f"bit {bit} of {flipped.name}: {error!r}") from error
        finally:
            signal.alarm(0)
    flipped.write_bytes(whole)
    return counts


def _late(*_: Any) -> None:
    raise TimeoutError("reading took too long")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--share", default="1/1", help="for several processes, the part that this one does: 1/2 or 2/2")
    options = parser.parse_args()
    share, shares = map(int, options.share.split("/"))
    started = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.run"
        small_run(path)
        size = path.stat().st_size
        counts = flip_all(path, path, options.stride * shares, (share - 1) * options.stride)
    print(f"{sum(counts.values())} of the {8 * size} bits of a file of {size} bytes were flipped: no result was wrong")
    for name, count in sorted(counts.items()):
        print(f"{name:16} {count:>8}")
    print(f"{perf_counter() - started:.0f} seconds")


if __name__ == "__main__":
    main()

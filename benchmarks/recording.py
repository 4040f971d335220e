"""Measure run files: what recording, opening, seeking and replay take, and their goals.

    python benchmarks/recording.py [--case long] [--rounds 3] [--quick]

Each case prints its figures, and a goal after those that have one:

- `long`: 100,000 epochs of 0.4 ms; recording them, opening the file, and the states of random epochs.
- `large`: 50 million parameters, each run in a process of its own.
- `short`: runs of 0.2 seconds; the first that a process records, and later ones.
- `tiny`, `small`, `mid`: runs of about twenty seconds of the networks of `step.py`.
- `replay`: seeks, and `verify` and `probe` serially and in two processes. With one BLAS thread everywhere, so that two
  processes have twice the processors. A segment is the distance between two snapshots.
- `ceiling`: the bytes of snapshots of every state under `max_bytes`.

Rounds alternate an unrecorded and a recorded run. Times are medians of the rounds, with the smallest and the largest in
parentheses. The overhead in processor time, next to that in wall time, varies less on a shared machine.
`--quick` makes each case ten times smaller.
"""

import argparse
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from step import CASES, make_data, make_trainer
from toolz import nth, take

import fnloop as fl

# Batches per epoch, and epochs of a run of about 20 seconds; mid is as long as MNIST, so its file has only the data's digest.
RECORDED = {"tiny": (1000, 400), "small": (500, 280), "mid": (470, 30)}
REPLAYED = {"tiny": (1000, 40), "small": (500, 40), "mid": (160, 20)}
LARGE = [1200, 6500, 6500, 10]  # 50,126,510 parameters


class Timing(NamedTuple):
    """Seconds of a run: in all, of processor time, until the first state, and from the last state to the end."""

    wall: float
    cpu: float
    start: float
    close: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", choices=MEASURES, action="append")
    parser.add_argument("--quick", action="store_true", help="ten times smaller")
    options = parser.parse_args()
    for case in options.case or MEASURES:
        with tempfile.TemporaryDirectory() as folder:
            MEASURES[case](case, Path(folder), options.rounds, 10 if options.quick else 1)


def show(name: str, found: str, goal: str = "") -> None:
    print(f"  {name:28} {found}" + (f"   (goal {goal})" if goal else ""), flush=True)


def spread(values: Sequence[float], scale: float = 1, form: str = ".1f") -> str:
    """Return the median of values, and their range, as text."""
    middle, low, high = (format(scale * value, form) for value in (median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def make(sizes: list[int], batch: int, batches: int) -> tuple[fl.Trainer, fl.Dataset]:
    return make_trainer(sizes, batch), make_data(sizes, batch * batches)


def train(trainer: fl.Trainer, data: fl.Dataset, epochs: int, path: Path | None = None, **options: Any) -> Timing:
    """Train, and record the run if a path is given."""
    started, cpu = time.perf_counter(), time.process_time()
    states = fl.epochs(trainer, data)
    if path is not None:
        states = fl.record(path, **options)(states)
    times = [time.perf_counter() for _ in take(epochs + 1, states)]
    states.close()
    end = time.perf_counter()
    return Timing(end - started, time.process_time() - cpu, times[0] - started, end - times[-1])


def show_overhead(pairs: Sequence[tuple[Timing, Timing]], goal: str) -> None:
    """Show what recorded runs took over the unrecorded ones of the same rounds."""
    wall = [recorded.wall / alone.wall - 1 for alone, recorded in pairs]
    cpu = [recorded.cpu / alone.cpu - 1 for alone, recorded in pairs]
    show("recording", f"{spread(wall, 100, '+.1f')} % of wall time, {spread(cpu, 100, '+.1f')} % of processor time", goal)
    starts, closes = ([getattr(recorded, name) for _, recorded in pairs] for name in ("start", "close"))
    show("start, closing", f"{spread(starts, 1e3)} ms, {spread(closes, 1e3)} ms")


def fresh(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a new process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def peak_memory() -> float:
    """Return the peak memory of this process in MB, as Linux counts it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1e3


def measure_long(case: str, folder: Path, rounds: int, smaller: int) -> None:
    trainer, data = make([10, 16, 12, 8, 1], 32, 6)
    epochs, path = 100_000 // smaller, folder / "a.run"
    nth(100, fl.epochs(trainer, data))  # warms up
    pairs = [(train(trainer, data, epochs), train(trainer, data, epochs, path, overwrite=True)) for _ in range(rounds)]
    print(f"{case}: {epochs:,} epochs of {1e3 * median(alone.wall for alone, _ in pairs) / epochs:.2f} ms")
    show_overhead(pairs, "5")
    show("open", f"{spread([timed(fl.open_run, path) for _ in range(5)], form='.3f')} s", "0.3")
    show("memory of opening", f"{fresh(memory_of_opening, path):.1f} MB")
    run = fl.open_run(path)
    states = [timed(run.state, epoch) for epoch in random.Random(0).sample(range(epochs), 15)]
    show("a random state", f"{median(states):.3f} s, at most {max(states):.3f}", "0.3")
    show_file(path, run, data)


def timed(function: Callable[..., Any], *args: Any) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    function(*args)
    return time.perf_counter() - started


def memory_of_opening(path: Path) -> float:
    before = peak_memory()
    fl.open_run(path)
    return peak_memory() - before


def show_file(path: Path, run: Any, data: fl.Dataset) -> None:
    stored = data.x.nbytes + data.y.nbytes
    size = os.path.getsize(path) - (stored if stored <= 1 << 26 else 0)  # larger data are not in the file
    states, whole = len(run.rows), len(run.snapshots)
    per_state = f"{size / states / 1e3:.2f} KB a state, {whole} of {states} states whole"
    show("file, without the data", f"{size / 1e6:.2f} MB, {per_state}")


def measure_large(case: str, folder: Path, rounds: int, smaller: int) -> None:
    epochs, path = 8, folder / "a.run"
    sizes = [round(size / smaller**0.5) for size in LARGE]
    pairs, memory, logs = [], [], []
    for _ in range(rounds):
        alone, alone_peak = fresh(train_large, sizes, epochs)
        with LargestSize(f"{path}-wal") as log:
            recorded, peak = fresh(train_large, sizes, epochs, path)
        pairs.append((alone, recorded))
        memory.append(peak - alone_peak)
        logs.append(log.bytes / 1e6)
    trainer = make_trainer(sizes, 128)
    state = 3e-6 * fl.init_state(trainer).params.vector.nbytes  # the parameters and two moments
    print(f"{case}: {epochs} epochs of {median(alone.wall for alone, _ in pairs) / epochs:.2f} s, states of {state:.0f} MB")
    show_overhead(pairs, "10")
    show("more memory", f"{spread(memory, form='.0f')} MB, {median(memory) / state:.2f} states", "1")
    show("log (-wal), at most", f"{spread(logs, form='.0f')} MB")
    show_file(path, fl.open_run(path), make_data(sizes, 128 * 12))


def train_large(sizes: list[int], epochs: int, path: Path | None = None) -> tuple[Timing, float]:
    """Train a large network; return the times and the peak memory."""
    trainer, data = make(sizes, 128, 12)
    nth(1, fl.epochs(make_trainer([*sizes[:1], 10], 128), data))  # warms up
    timing = train(trainer, data, epochs, path, **({} if path is None else {"overwrite": True}))
    return timing, peak_memory()


class LargestSize:
    """The largest size that a file has within a `with` block, looked at every few milliseconds."""

    def __init__(self, path: str) -> None:
        self.bytes, self._path, self._done = 0, path, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            with suppress(OSError):
                self.bytes = max(self.bytes, os.path.getsize(self._path))

    def __enter__(self) -> "LargestSize":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()


def measure_short(case: str, folder: Path, rounds: int, smaller: int) -> None:
    found = [fresh(train_short, folder / str(i), 20 // smaller) for i in range(rounds)]
    print(f"{case}: runs of {median(alone.wall for pairs in found for alone, _ in pairs):.3f} s")
    for name, of_runs in (("the first of a process", slice(1)), ("later ones", slice(1, None))):
        pairs = [pair for each in found for pair in each[of_runs]]
        wall, cpu = ([recorded[i] - alone[i] for alone, recorded in pairs] for i in range(2))
        show(name, f"{spread(wall, 1e3)} ms more, {spread(cpu, 1e3)} ms of processor time", "8")


def train_short(folder: Path, runs: int) -> list[tuple[Timing, Timing]]:
    """Return what short runs take, unrecorded and recorded in turn."""
    folder.mkdir()
    trainer, data = make([10, 16, 12, 8, 1], 32, 100)
    train(trainer, data, 40)  # warms up
    return [(train(trainer, data, 40), train(trainer, data, 40, folder / f"{i}.run")) for i in range(runs + 1)]


def measure_ordinary(case: str, folder: Path, rounds: int, smaller: int) -> None:
    sizes, batch, *_ = CASES[case]
    batches, epochs = RECORDED[case]
    epochs //= smaller
    trainer, data = make(sizes, batch, batches)
    nth(2, fl.epochs(trainer, data))  # warms up
    path = folder / "a.run"
    pairs = [(train(trainer, data, epochs), train(trainer, data, epochs, path, overwrite=True)) for _ in range(rounds)]
    seconds = median(alone.wall for alone, _ in pairs)
    print(f"{case}: {epochs} epochs of {1e3 * seconds / epochs:.1f} ms, {seconds:.1f} s")
    show_overhead(pairs, "2")
    show_file(path, fl.open_run(path), data)


def measure_replay(case: str, folder: Path, rounds: int, smaller: int) -> None:
    one = {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in one}
    os.environ.update(one)
    for name in REPLAYED:
        fresh(replay, name, folder / f"{name}.run", rounds, smaller)
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


def replay(case: str, path: Path, rounds: int, smaller: int) -> None:
    """Show what seeks, `verify` and `probe` take."""
    sizes, batch, *_ = CASES[case]
    batches, epochs = REPLAYED[case]
    trainer, data = make(sizes, batch, batches // smaller)
    alone = train(trainer, data, epochs).wall
    train(trainer, data, epochs, path, snapshot_every=5)
    run = fl.open_run(path)
    _ = run.trainer, run.train
    seeks = [timed(seek, path, epoch) for epoch in random.Random(0).sample(range(epochs), 9)]
    segment = max(b - a for a, b in pairwise(run.snapshots)) * alone / epochs
    print(f"replay of {case}: {epochs} epochs of {1e3 * alone / epochs:.1f} ms")
    show("open and seek", f"{1e3 * median(seeks):.0f} ms, at most {1e3 * max(seeks):.0f}; a segment is {1e3 * segment:.0f} ms")
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(abs, range(8)))
        for name, call in (("verify", run.verify), ("probe", partial(run.probe, weight_norm))):
            pairs = [(timed(call), timed(partial(call, map=pool.map))) for _ in range(rounds)]
            serial, parallel = map(median, zip(*pairs, strict=True))
            show(f"{name} in one process", f"{serial / alone:.2f} times the training")
            show(f"{name} in two", f"{serial / parallel:.2f} times as fast", "1.7")


def seek(path: Path, epoch: int) -> None:
    fl.open_run(path).state(epoch)


def weight_norm(state: Any) -> float:
    """Return the norm of the parameters, which `probe` computes."""
    return float((state.params.vector**2).sum() ** 0.5)


def measure_ceiling(case: str, folder: Path, rounds: int, smaller: int) -> None:
    trainer, data = make([784, 256, 128, 10], 128, 4)
    allowed, path, epochs = 100_000_000 // smaller, folder / "a.run", 200 // smaller
    train(trainer, data, epochs, path, snapshot_every=1, max_bytes=allowed)
    run = fl.open_run(path)
    print(f"{case}: {epochs} epochs with a snapshot of each, states of 2.8 MB")
    show_file(path, run, data)
    show("max_bytes", f"{allowed / 1e6:.0f} MB")


MEASURES: dict[str, Callable[[str, Path, int, int], None]] = {
    "long": measure_long,
    "large": measure_large,
    "short": measure_short,
    **dict.fromkeys(RECORDED, measure_ordinary),
    "replay": measure_replay,
    "ceiling": measure_ceiling,
}

if __name__ == "__main__":
    main()
